"""An editor that saves when it is told to: `slow_editor.py GO OPEN FILE`."""

import sys
import time
from pathlib import Path

go, opened, file = map(Path, sys.argv[1:])
opened.touch()
while not go.exists():
    time.sleep(0.02)
time.sleep(1)
file.write_text('{"items": [{"name": "lamp"}]}')
sys.stderr.write("the editor is closed\n")
