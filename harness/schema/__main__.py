"""`python -m harness.schema`: write the schema files and docs/files.md."""

from harness.kernel.process import streams
from harness.schema import files

streams.protect()
for path, content in files().items():
    path.parent.mkdir(exist_ok=True)
    path.write_text(content, encoding="utf-8")
    print(path)
