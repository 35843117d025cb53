"""Makes the agent's three files of the two models and the dictionary of a PP-OCRv6 tiny release; README.md has the commands.

The detector is copied as it is. The recogniser tells 6 906 classes apart, nearly all of them Chinese characters; what is left of
its last layer are the columns of Latin script, so it is smaller, faster, and never reads a smudge as Chinese. No weight changes.
"""

import shutil
import sys
from pathlib import Path

import onnx
import yaml
from onnx import numpy_helper

SIGNS = "–—―‘’“”†‡•…‰′″™№−≈≤≥"


def is_kept(character: str) -> bool:
    """ASCII, Latin-1, Latin Extended-A and -B, currencies, and some signs."""
    code = ord(character) if len(character) == 1 else 0
    return 0x20 < code < 0x250 or 0x20A0 <= code < 0x20D0 or (code > 0 and character in SIGNS)


def main(source: Path) -> None:
    here = Path(__file__).parent
    shutil.copyfile(source / "det/det.onnx", here / "detector.onnx")
    settings = yaml.safe_load((source / "rec/inference.yml").read_text(encoding="utf-8"))
    # Class 0 is the blank of CTC, the last one a space.
    characters = ["", *settings["PostProcess"]["character_dict"], " "]
    kept = [i for i, character in enumerate(characters) if i == 0 or character == " " or is_kept(character)]

    model = onnx.load(source / "rec/rec.onnx")
    for tensor in model.graph.initializer:
        if tensor.dims and tensor.dims[-1] == len(characters):
            array = numpy_helper.to_array(tensor)[..., kept]
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    model.graph.output[0].type.tensor_type.shape.dim[-1].dim_value = len(kept)
    onnx.checker.check_model(model)
    onnx.save(model, here / "recogniser.onnx")
    # One class a line, the blank's is empty.
    lines = "".join(characters[i] + "\n" for i in kept)
    (here / "characters.txt").write_text(lines, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
