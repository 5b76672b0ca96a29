"""What the schemas of several files say in the same words."""

from __future__ import annotations

import scenarios
from harness.schema.parts import empty_or, flag, many, maybe, number, record, text, whole

STATUSES = ("VALID", "INVALID", "INTERRUPTED", "ERROR")
SCENARIO = text(
    f"Load pattern: {', '.join(scenarios.TABLE)}, or the name of a plug-in's.",
)

FOLDER = text("Folder of this file.")
LABEL = text("How the row is called: its variant, with its model where these differ.")
RUN = text("Folder of its run, from here; empty if there is none.")
ENDED = {
    "interrupted": flag("Whether Ctrl-C ended the series."),
    "not_run": many("What was not started.", text("A variant.")),
    "folder": FOLDER,
}

SUBSET = record(
    "How the dataset was made smaller; missing where all of its rows were taken.",
    {
        "taken": whole("Rows that were taken.", "rows"),
        "of": maybe(whole("Rows there are; null where the rest of the file was not read.", "rows")),
        "by": many(
            "Columns each of whose values kept its share; empty: the first rows were taken.",
            text("Name of the column."),
        ),
    },
)

ESTIMATE = record(
    "A figure with its 95 % interval; null where it cannot be told.",
    {
        "value": maybe(number("The figure.")),
        "low": maybe(number("Lower end.")),
        "high": maybe(number("Upper end.")),
    },
)

ADAPTER = empty_or(record("The LoRA adapter; empty without one.", {
    "path": text("Its folder."),
    "rank": whole("Rank of its matrices."),
    "trained_on": maybe(text("Base model that it names.")),
    "parameters": whole("Number of its parameters."),
    "merged": flag("Whether it was merged into the weights."),
}))  # fmt: skip
TRAINABLE = whole(
    "Parameters that training this variant would change: all of the model, or its adapter's."
)
REPEATED = whole("Parameters of an output head that repeats the embedding; they are not counted.")

STORED = {  # of the weights' files and tensors; sut/checkpoint, sut/model/digest
    "stored_dtype": text("Type of most of the values in the weight files; empty if unknown."),
    "stored_quantisation": text("How the checkpoint is quantised."),
    "precision": text("What the variant's name does not tell, such as gptq-int4-g128."),
    "fp8_products": text("What multiplied FP8: torch._scaled_mm, or an emulation in float32."),
    "tf32": flag("Whether float32 was multiplied in TF32; never on a CPU."),
    "files_digest": text("16 digits over names, sizes and samples of the weight files."),
    "tensors_digest": text("16 digits over all tensors as loaded; empty if part is offloaded."),
    "quantised_share": number("Share of the values of all matrices in few bits.", "of 1"),
    "quantised_layer_share": number("The same without embeddings and output head.", "of 1"),
}
