"""Counts the words of a text."""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import types


class Handler(exports.Handler):
    def handle(self, task: types.Task) -> types.Payload:
        if not isinstance(task.input, types.Payload_Text):
            raise Err(types.Error_InvalidInput("give me a text"))
        words = task.input.value.split()
        return types.Payload_Json(json.dumps({"words": len(words), "longest": max(words, key=len, default="")}))
