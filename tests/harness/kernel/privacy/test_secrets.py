"""Is what is a secret hidden, and nothing else?"""

from __future__ import annotations

import pytest

from harness.kernel.errors import BadInput, first_line
from harness.kernel.privacy.logs import hide_secrets
from harness.kernel.privacy.secrets import HIDDEN, also, hidden, hidden_in, hidden_options
from harness.kernel.privacy.variables import recorded

KEY = "k3yMat3rialThatIsNobodysBusiness"
SECRETS = [
    "https://user:k3yMat3rial@proxy:8080/x",
    "https://k3yMat3rial@github.com/a/b",
    "https://hub/api?page=2&token=k3yMat3rial&x=1",
    "https://bucket/x?X-Amz-Signature=k3yMat3rial",
    "Authorization: Bearer k3yMat3rial",
    "{'Authorization': 'Basic k3yMat3rial=='}",
    'proxy-authorization="k3yMat3rial"',
    "api_key='k3yMat3rial'",
    "--password k3yMat3rial --password=k3yMat3rial",
    '{"client_secret": "k3yMat3rial"}',
    f"hf_{KEY}",
    f"sk-proj-{KEY}",
    f"sk_live_{KEY}",
    f"ghp_{KEY}",
    f"github_pat_{KEY}",
    f"glpat-{KEY}",
    "AKIAK3YMAT3RIALABCDE",
    f"eyJhbGciOiJIUzI1NiJ9.eyJ{KEY}.{KEY}",
    f"-----BEGIN RSA PRIVATE KEY-----\n{KEY}\n-----END RSA PRIVATE KEY-----",
    f"-----BEGIN PRIVATE KEY-----\n{KEY}",
]


@pytest.mark.parametrize("text", SECRETS)
def test_secrets_are_known_by_their_form(text):
    told = hidden(text.removeprefix("--password k3yMat3rial "))
    assert HIDDEN in told
    assert not any(part in told for part in ("k3yMat3rial", KEY, "K3YMAT"))
    assert hidden(told) == told


@pytest.mark.parametrize(
    "text",
    [
        "it has no EOS token; expected eos_token: </s>",
        "max_new_tokens=128, first_token: 5, 12 tokens: fine, num_tokens=8, tokens_per_s: 1.5",
        "tokenizer_sha256: 0123456789abcdef0123456789abcdef, key: value, column 'key'",
        "see https://example.org/a@b?page=2 and user@example.org",
        "git@github.com:owner/name",
        "risk-adjusted-returns-benchmark and task-specific-model-2024-something",
        "sk-learn-pipelines-and-models, disk_usage_of_everything_in_2024",
        "/models/meta-llama/Llama-3.1-8B-Instruct",
    ],
)
def test_other_texts_stay_as_they_are(text):
    assert hidden(text) == text


@pytest.mark.parametrize(
    "name", ["HF_TOKEN", "MY_PASSWD", "api_key", "AWS_SECRET", "X_AUTH", "KEY"]
)
def test_what_the_environment_has_under_the_name_of_a_secret_is_hidden_wherever_it_stands(
    monkeypatch, name
):
    monkeypatch.setenv(name, "correct7horse")
    assert (
        hidden("the server said: no user correct7horse!") == f"the server said: no user {HIDDEN}!"
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HF_TOKEN", "yes"),
        ("TOKENIZERS_PARALLELISM", "quite4false"),
        ("SSH_AUTH_SOCK", "/tmp/a1b2c3d4"),
    ],
)
def test_values_that_stand_in_texts_by_accident_are_no_secrets(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    assert hidden(f"x {value} y") == f"x {value} y"


def test_errors_and_the_words_of_libraries_have_no_secrets():
    error = BadInput("--dataset https://user:k3yMat3rial@host/x", "api_key=k3yMat3rial", "")
    assert "k3yMat3rial" not in f"{error} {error.facts}"
    assert "k3yMat3rial" not in first_line(OSError("GET https://host/?token=k3yMat3rial"))


def test_values_of_json_are_looked_through():
    given = {"a": ["https://u:p4ss@h/"], "n": 1, "b": {"c": None}, "t": ("x",)}
    assert hidden_in(given) == {"a": [f"https://{HIDDEN}@h/"], "n": 1, "b": {"c": None}, "t": ["x"]}


def test_options_that_are_named_like_secrets_are_hidden_whole():
    given = {"api_key": "x", "token": "y", "password": 1, "ttft_ms": 3, "token_ms": 2, "url": "a"}
    secret = dict.fromkeys(("api_key", "token", "password"), HIDDEN)
    assert hidden_options(given) == given | secret


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "piece",
    ["eyJ-", "eyJabcdefgh.", "sk-a", "?a", "://", "://a:", "authorization: ", "bearer ", "secret ",
     "secret=", "-----BEGIN PRIVATE KEY-----", "hf_", "api_key ", "a"],
)  # fmt: skip
def test_a_hostile_log_is_read_in_a_time_that_grows_with_it_alone(piece):
    hidden(piece * (300_000 // len(piece)))


# ---- variables


def test_settings_of_libraries_are_recorded():
    known = {
        "OMP_NUM_THREADS": "4",
        "OMP_PLACES": "{0:4}:2",
        "KMP_AFFINITY": "granularity=fine,compact,1,0",
        "CUDA_VISIBLE_DEVICES": "0,1",
        "MKL_CBWR": "AVX2,STRICT",
        "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True,max_split_size_mb:512",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
    }
    assert recorded(known | {"PATH": "/bin", "HOME": "/home/a"}) == known


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TORCH_AUTH", "hunter2"),
        ("CUDA_PASSWD", "hunter2"),
        ("KMP_CREDENTIALS", "hunter2"),
        ("OMP_NOBODY_KNOWS", "hunter2"),
        ("TORCH_HOME", "/home/alice/torch"),
        ("MKL_CBWR", f"hf_{KEY}"),
        ("OMP_NUM_THREADS", KEY),
        ("TORCH_LOGS", "https://user:pass@host"),
        ("HF_HUB_OFFLINE", f"ghp_{KEY}"),
    ],
)
def test_of_other_variables_and_of_odd_values_the_name_alone_is_recorded(name, value):
    assert recorded({name: value}) == {name: HIDDEN}


def test_a_gpu_is_not_named_by_its_uuid():
    uuid = "GPU-8f3a2b11-1111-2222-3333-444455556666"
    assert recorded({"CUDA_VISIBLE_DEVICES": f"{uuid},1"}) == {
        "CUDA_VISIBLE_DEVICES": f"GPU-{HIDDEN},1"
    }


def test_logs_lose_their_secrets_and_nothing_else(tmp_path):
    log, binary = tmp_path / "sut.log", tmp_path / "other.log"
    log.write_text("begin\nGET https://u:p4ssw0rd@h/x\nend\n")
    binary.write_bytes(b"\xff\xfe https://u:p4ssw0rd@h/")
    hide_secrets(log, binary, tmp_path / "none.log")
    assert log.read_text() == f"begin\nGET https://{HIDDEN}@h/x\nend\n"
    assert binary.read_bytes().startswith(b"\xff")


def test_a_key_of_any_name_is_hidden_wherever_it_stands():
    also("open sesame")
    assert hidden("say open sesame twice") == "say (hidden) twice"


@pytest.mark.parametrize("key", ["", "x", "abc"])
def test_a_key_that_is_guessed_at_once_spoils_no_words(key):
    also(key)
    assert hidden("text of abc and x") == "text of abc and x"
