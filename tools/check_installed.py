"""Run by the python of a clean environment, after meme_demo: `python check_installed.py ENVIRONMENT FOLDER`

Every module imports from there, without any development tool, and meme_demo left in FOLDER what it promises.
"""
import importlib, importlib.util, json, pkgutil, sys
from pathlib import Path


def import_all():
    "The names of all modules, each imported"
    import meme_nb
    return [importlib.import_module(m.name).__name__ for m in pkgutil.walk_packages(meme_nb.__path__, 'meme_nb.')]


def check_demo(folder):
    "The files that meme_demo leaves"
    summaries = list(folder.rglob('summary.json'))
    if len(summaries)!=1: raise SystemExit(f'meme_demo should leave one summary.json in {folder}, and left {len(summaries)}.')
    out = summaries[0].parent
    missing = [n for n in ('samples.png', 'denoising.png', 'losses.png') if not (out/n).is_file()]
    if missing: raise SystemExit(f'meme_demo left no {", ".join(missing)} in {out}.')
    json.loads(summaries[0].read_text())
    configs = list(out.rglob('config.json'))
    if len(configs)!=1: raise SystemExit(f'meme_demo should leave one bundle in {out}, and left {len(configs)} config.json.')
    from meme_nb.model import MEME
    return MEME.load(configs[0].parent)


def main(environment, folder):
    modules = import_all()
    import meme_nb
    if environment not in Path(meme_nb.__file__).parents: raise SystemExit(f'meme_nb was imported from {meme_nb.__file__}, not from {environment}.')
    if importlib.util.find_spec('nbdev'): raise SystemExit('nbdev is installed here, so this does not show that users can do without it.')
    model = check_demo(folder)
    print(f'{len(modules)} modules imported, and a bundle of {len(model.experts)} experts loaded')


if __name__=='__main__': main(*(Path(a).resolve() for a in sys.argv[1:]))
