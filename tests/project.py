"The files of the project, as the tests about the project see them"
from configparser import ConfigParser
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NBS = ROOT/'nbs'
LIB = ROOT/'meme_nb'
SETTINGS = ConfigParser(delimiters=['='])
SETTINGS.read(ROOT/'settings.ini', encoding='utf-8')
SETTINGS = SETTINGS['DEFAULT']


def hidden(path, root):
    "Whether nbdev leaves a file out: `_private.ipynb`, `.ipynb_checkpoints/...`"
    return any(part[0] in '._' for part in path.relative_to(root).parts)


NOTEBOOKS = sorted(p for p in NBS.rglob('*.ipynb') if not hidden(p, NBS))
MODULES = sorted('.'.join(p.relative_to(ROOT).with_suffix('').parts) for p in LIB.rglob('*.py') if not p.name.startswith('_'))
# what has to load in torch's own time, without fastai and matplotlib
LIGHT = [f'meme_nb.{m}' for m in 'schedulers samplers layers experts router losses model'.split()]
