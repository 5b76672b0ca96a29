"""Prompts become the ids that transformers makes of them, or a sentence says what does not fit."""

from __future__ import annotations

import json
import os
import random
from threading import Thread

import psutil
import pytest

from harness.kernel.errors import SetupFailed
from harness.kernel.types import Sample
from sut.prompts import template
from sut.prompts.encode import Room, encode, fingerprint
from sut.prompts.specials import around
from tests.prompt_helpers import CHAT, PROMPTS, ROWS, SPECIAL, tokenizer

EACH = "{% for m in messages %}{{ m['content'] }}{% endfor %}"


def made(known, prompts=PROMPTS, chat=None, rows=ROWS, **room):
    """The prompts of these texts."""
    known.chat_template = chat
    samples = [Sample(i, prompt, max_new_tokens=4) for i, prompt in enumerate(prompts)]
    return encode(known, samples, Room(room.get("context"), rows, room.get("truncate", False)))


def chatted(chat, prompts=PROMPTS):
    return made(tokenizer(), prompts, chat)


def refused(chat, prompts=PROMPTS):
    with pytest.raises(SetupFailed) as caught:
        chatted(chat, prompts)
    return str(caught.value)


# ---- special tokens


@pytest.mark.parametrize("post", ["", "<s> $A", "<s> <unk> $A"])
def test_without_a_template_a_prompt_is_opened_as_the_tokenizer_opens_it(post):
    known = tokenizer(post)
    prompts = made(known)
    assert list(prompts.ids.values()) == [known(text)["input_ids"] for text in PROMPTS]
    assert prompts.facts["end_ids_left_out"] == []


@pytest.mark.parametrize(
    ("post", "before", "after"),
    [("<s> $A </s>", [0], [1]), ("$A </s>", [], [1]), ("</s> $A <unk> </s>", [1], [2, 1])],
)
def test_what_a_tokenizer_closes_a_text_with_is_left_out_and_said(post, before, after):
    """As T5, BERT's [SEP] and `add_eos_token` do it."""
    known = tokenizer(post)
    prompts = made(known)
    bare = [known(text, add_special_tokens=False)["input_ids"] for text in PROMPTS]
    assert list(prompts.ids.values()) == [[*before, *ids] for ids in bare]
    assert prompts.facts["end_ids_left_out"] == after
    assert "left out of the prompts" in prompts.notes[0]


def test_a_slow_tokenizer_that_closes_texts_is_no_exception():
    from transformers import ByT5Tokenizer

    prompts = made(ByT5Tokenizer(), ["hi"], rows=None)
    assert prompts.ids == {0: [ord("h") + 3, ord("i") + 3]}


def test_start_and_end_are_found_where_plain_letters_become_nothing():
    from tokenizers import Tokenizer, models, processors
    from transformers import PreTrainedTokenizerFast

    words = {"<s>": 0, "</s>": 1, "ж": 2}
    inner = Tokenizer(models.BPE(words, merges=[]))
    ids = [(word, words[word]) for word in ("<s>", "</s>")]
    inner.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=ids)
    known = PreTrainedTokenizerFast(tokenizer_object=inner, bos_token="<s>", eos_token="</s>")
    assert known("a", add_special_tokens=False)["input_ids"] == []
    assert around(known) == ([0], [1])
    assert made(known, ["ж"]).ids == {0: [0, 2]}


@pytest.mark.parametrize("post", ["", "<s> $A", "<s> $A </s>"])
def test_a_template_writes_its_own_special_tokens_and_the_tokenizer_adds_none(post):
    known = tokenizer(post)
    prompts = made(known, chat=CHAT)
    turns = [[{"role": "user", "content": text}] for text in PROMPTS]
    wanted = known.apply_chat_template(turns, add_generation_prompt=True)["input_ids"]
    assert list(prompts.ids.values()) == wanted
    assert prompts.notes == []


def test_a_start_token_that_stands_twice_is_told():
    assert "begin with <s> twice" in chatted("<s><s>" + EACH).notes[0]


def test_a_template_that_closes_the_prompt_is_told():
    assert "end with </s>" in chatted(EACH + "</s>").notes[0]


def test_words_that_name_a_special_token_become_it_and_are_told():
    prompts = made(tokenizer(), ["why </s> not", "a b"])
    assert 1 in prompts.ids[0]
    assert prompts.notes == [
        "the prompt of sample 0 contains the name of a special token, which becomes that token"
    ]


def test_settings_in_tokenizer_json_neither_cut_nor_pad_a_prompt(tmp_path):
    from transformers import AutoTokenizer

    known = tokenizer()
    wanted = made(known).ids
    known.save_pretrained(tmp_path)
    file = tmp_path / "tokenizer.json"
    cut = {"direction": "Right", "max_length": 3, "strategy": "LongestFirst", "stride": 0}
    pad = {"strategy": {"Fixed": 20}, "direction": "Right", "pad_id": 2, "pad_type_id": 0}
    pad |= {"pad_token": "<unk>", "pad_to_multiple_of": None}
    file.write_text(json.dumps(json.loads(file.read_text()) | {"truncation": cut, "padding": pad}))
    assert made(AutoTokenizer.from_pretrained(tmp_path)).ids == wanted


# ---- what a tokenizer loses


@pytest.mark.parametrize("post", ["", "<s> $A", "<s> $A </s>"])
def test_a_text_of_which_a_normalizer_leaves_nothing_is_named(post):
    from tokenizers import normalizers

    known = tokenizer(post, normalizer=normalizers.Replace("☂", ""))
    with pytest.raises(SetupFailed, match="sample 1: the tokenizer makes no token of its text"):
        made(known, ["a", "☂☂"])


def test_text_that_a_tokenizer_cannot_read_is_counted():
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.WordLevel({"<unk>": 0, "a": 1}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.Whitespace()
    prompts = made(
        PreTrainedTokenizerFast(tokenizer_object=inner, unk_token="<unk>"), ["a b", "a a"]
    )
    assert prompts.facts["unknown_tokens"] == 1
    assert "25 % of the prompts' tokens are <unk>" in prompts.notes[0]


@pytest.mark.parametrize("text", ["a\x00b", "😀 👩‍👩‍👧", "a\r\nb", "\ufeffa", "x" * 100_000])
def test_odd_texts_come_back_from_their_ids(text):
    known = tokenizer()
    assert known.decode(made(known, [text]).ids[0], clean_up_tokenization_spaces=False) == text


# ---- ids and lengths


def test_an_id_beyond_the_embedding_is_named_with_its_sample():
    known = tokenizer(added=("zebra",))
    found = f"sample 1: token 2 is 'zebra' with id {ROWS}; the model's embedding has {ROWS} rows"
    with pytest.raises(SetupFailed, match=found):
        made(known, ["a b", "a zebra"])
    assert made(known, ["a b"]).ids  # rows and tokens that nobody uses do no harm
    assert made(known, ["a zebra"], rows=ROWS + 64).ids


def test_without_a_limit_any_prompt_fits_and_none_is_cut():
    prompts = made(tokenizer(), ["why " * 5000], truncate=True)
    assert len(prompts.ids[0]) > 5000
    assert prompts.facts["truncated_samples"] == []


# ---- templates


def test_a_template_gets_a_clock_that_stands_still():
    chat = "{{ strftime_now('%d %b %Y %H:%M:%S') }} " + EACH
    prompts = chatted(chat)
    assert tokenizer().decode(prompts.ids[0]) == "26 Jul 2024 00:00:00 " + PROMPTS[0]
    assert prompts.facts["template_date"] == "2024-07-26"
    assert "asks for the date: it is told 2024-07-26" in prompts.notes[0]
    assert chatted(EACH).facts["template_date"] is None


def test_the_librarys_own_clock_goes_on_afterwards():
    known = tokenizer()
    known.chat_template = "{{ strftime_now('%Y') }}"
    chatted("{{ strftime_now('%Y') }}" + EACH)
    turns = [{"role": "user", "content": "a"}]
    assert known.apply_chat_template(turns, tokenize=False) != "2024"


def test_a_template_that_draws_gets_the_same_draws_every_time_and_leaves_ours_alone():
    chat = "{{ range(100000) | random }} " + EACH
    random.seed(5)
    wanted = random.random()
    random.seed(5)
    first, second = chatted(chat), chatted(chat)
    assert random.random() == wanted
    assert first.ids == second.ids
    assert "draws at random" in first.notes[0]


@pytest.mark.parametrize(
    "chat",
    [
        "{% for m in messages %}{% for p in m['content'] %}{% if p['type'] == 'text' %}"
        "{{ p['text'] }}{% endif %}{% endfor %}{% endfor %}",
        "{% for p in messages[0]['content'] | selectattr('type', 'equalto', 'text') %}"
        "{{ p['text'] }}{% endfor %}",
    ],
)
def test_a_template_that_reads_parts_gets_the_prompt_in_parts(chat):
    prompts = chatted(chat)
    assert prompts.ids == chatted(EACH).ids
    assert "lists of parts" in prompts.notes[0]


@pytest.mark.parametrize("chat", ["", "hello <s>", "{{ messages[0]['role'] }}"])
def test_a_template_that_loses_the_prompt_is_refused(chat):
    assert "sample 0: the chat template leaves its text out" in refused(chat)


@pytest.mark.parametrize(
    ("change", "count"),
    [("| upper", "2 prompts (sample 0 is the first)"), ("[:5]", "2 prompts"), ("[-5:]", "2 pro")],
)
def test_a_template_that_changes_the_text_is_told(change, count):
    chat = "{% for m in messages %}{{ m['content'] " + change + " }}{% endfor %}"
    assert f"changes the text of {count}" in chatted(chat).notes[0]


def test_white_space_around_a_prompt_is_no_change():
    assert chatted("{{ messages[0]['content'] | trim }}", ["  why\n"]).notes == []


def test_only_the_prompt_that_is_changed_is_named():
    notes = chatted("{{ messages[0]['content'] | tojson }}", ["a", 'say "hi"']).notes
    assert notes == ["its chat template changes the text of the prompt of sample 1"]


@pytest.mark.parametrize(
    ("chat", "said"),
    [
        (
            "{{ raise_exception('Conversation must start with a system message.') }}",
            "sample 0: the chat template refuses it: Conversation must start with a system message",
        ),
        (
            "{% if 'sum' in messages[0].content %}{{ raise_exception('no sums') }}{% endif %}"
            + EACH,
            "sample 1: the chat template refuses it: no sums",
        ),
        ("{{ tools[0].name }}" + EACH, "sample 0: the chat template breaks on it (UndefinedError"),
        ("{% for m in messages %}", "reading the chat template: line 1: "),
        ("{{ messages | nofilter }}", "No filter named 'nofilter'"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "RecursionError"),
        ("{{ 'x' * 20000000 }}" + EACH, "makes 20,000,0"),
        ({"rag": EACH, "tool_use": EACH}, "it has several (rag, tool_use) and none is called"),
    ],
)
def test_a_template_that_refuses_or_breaks_is_a_sentence_with_its_words(chat, said):
    found = refused(chat)
    assert said in found
    assert ".;" not in found


def test_a_template_that_never_ends_is_stopped(monkeypatch):
    monkeypatch.setattr(template, "_PATIENCE_S", 0.2)
    loop = "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}"
    assert "the chat template is not done with it after 0.2 s" in refused(loop + EACH)


@pytest.mark.parametrize(
    "chat",
    [
        "{{ 'a' * 100000000000 }}",
        "{{ 'x'.ljust(3000000000) }}",
        "{{ '%3000000000d' % 1 }}",
        "{{ messages | tojson(indent=2000000000) }}",
        "{% for i in range(99999) %}{{ 'x' * 1000000 }}{% endfor %}",
    ],
)
def test_a_template_that_eats_memory_is_stopped(chat):
    assert "the chat template takes more than 1 GiB of memory for it" in refused(chat + EACH)


def test_a_template_that_hears_no_signal_is_stopped_on_any_thread(monkeypatch):
    monkeypatch.setattr(template, "_PATIENCE_S", 0.3)
    power = "{% set n = 9 ** 9 %}{% set m = n ** n %}" + EACH  # one step of the interpreter
    said = []
    thread = Thread(target=lambda: said.append(refused(power)))
    thread.start()
    thread.join()
    assert "the chat template is not done with it after 0.3 s" in said[0]


def test_a_template_that_ends_its_process_is_a_sentence():
    known = template.ChatTemplate(tokenizer())
    known._apart._act = lambda _: os.kill(os.getpid(), 9)
    with pytest.raises(SetupFailed, match="ends the process that renders it: it was ended by SIGK"):
        known.render([], "sample 0")


def test_no_process_of_a_template_is_left():
    before = set(psutil.Process().children())
    chatted(EACH)
    known = tokenizer()
    known.chat_template = EACH
    made = template.ChatTemplate(known)
    made.prompt("why", "sample 0")
    assert set(psutil.Process().children()) - before
    del made
    assert not set(psutil.Process().children()) - before


def test_of_several_templates_the_default_is_taken():
    several = {"default": EACH, "tool_use": "{{ tools[0] }}"}
    assert chatted(several).ids == chatted(EACH).ids


# ---- the fingerprint


def test_the_fingerprint_is_of_the_ids_and_of_whose_they_are():
    one = fingerprint({0: [1, 2], 1: [3]})
    assert one == fingerprint({1: [3], 0: [1, 2]})
    others = [{0: [1], 1: [2, 3]}, {0: [3], 1: [1, 2]}, {0: [12], 1: [3]}, {0: [1, 2]}, {}]
    assert len({one, *map(fingerprint, others)}) == 6


@pytest.mark.parametrize(
    "other",
    [
        lambda: made(tokenizer("<s> $A")),
        lambda: made(tokenizer(), chat=CHAT),
        lambda: made(tokenizer(), list(reversed(PROMPTS))),
        lambda: made(tokenizer(), ["why " * 40, PROMPTS[1]], context=16, truncate=True),
        lambda: made(tokenizer(special=(*SPECIAL, "<pad>"))),
    ],
)
def test_other_ids_have_another_fingerprint(other):
    one, again, changed = made(tokenizer()), made(tokenizer()), other()
    assert one.facts["prompts_sha256"] == again.facts["prompts_sha256"]
    assert one.ids != changed.ids
    assert one.facts["prompts_sha256"] != changed.facts["prompts_sha256"]


# ---- turns before the prompt, and wanted lengths


def test_turns_before_the_prompt_stand_in_the_template():
    known = tokenizer()
    known.chat_template = CHAT
    history = (("user", PROMPTS[0]), ("assistant", PROMPTS[1]))
    sample = Sample(0, PROMPTS[0], history=history)
    ids = encode(known, [sample], Room(None, ROWS)).ids[0]
    turns = [{"role": role, "content": text} for role, text in (*history, ("user", PROMPTS[0]))]
    text = known.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert ids == known(text, add_special_tokens=False)["input_ids"]


@pytest.mark.parametrize("tokens", [1, 2, 7, 64, 500])
@pytest.mark.parametrize("post", ["", "<s> $A"])
def test_a_prompt_of_a_wanted_length_has_that_length(tokens, post):
    known = tokenizer(post)
    pieces = ((" ".join(PROMPTS), tokens),)
    ids = encode(known, [Sample(0, "shown", pieces=pieces)], Room(None, ROWS)).ids[0]
    assert len(ids) == tokens


def test_prompts_of_the_same_blocks_begin_alike():
    known, text = tokenizer(), " ".join(PROMPTS)
    shared = ((text, 20), (text[::-1], 20))
    samples = [Sample(i, "", pieces=(*shared, (one, 9))) for i, one in enumerate(PROMPTS[:2])]
    first, second = encode(known, samples, Room(None, ROWS)).ids.values()
    assert len(first) == len(second) == 49
    assert first[:40] == second[:40]
