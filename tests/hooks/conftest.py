"""The toys of fine-tuning and of the pretext tasks serve these tests too."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
for folder in (HERE, *(HERE.parent / name for name in ("finetune", "pretext", "data"))):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
