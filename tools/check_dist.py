"""The wheel from the checkout and the one from the sdist hold the same files, and everything in meme_nb/: `python tools/check_dist.py A.whl B.whl`"""
import sys, zipfile
from pathlib import Path

LIB = Path(__file__).resolve().parent.parent/'meme_nb'


def contents(wheel):
    "What is in a wheel: {path: bytes}; not the list of files, which has times of its own"
    with zipfile.ZipFile(wheel) as z: return {n: z.read(n) for n in z.namelist() if not n.endswith('/RECORD')}


def package_files(): return {p.relative_to(LIB.parent).as_posix() for p in LIB.rglob('*') if p.is_file() and '__pycache__' not in p.parts}


def main(first, second):
    a, b = contents(first), contents(second)
    different = sorted(n for n in a.keys() | b.keys() if a.get(n)!=b.get(n))
    if different: raise SystemExit(f'The wheel from the checkout and the wheel from the sdist differ in {different}: see MANIFEST.in and package_data in setup.py.')
    missing, strange = sorted(package_files()-a.keys()), sorted(n for n in a if not n.startswith('meme_nb'))
    if missing: raise SystemExit(f'The wheel lacks {missing}: see package_data in setup.py.')
    if strange: raise SystemExit(f'The wheel installs files outside of the package: {strange}.')
    print(f'{len(a)} files, {Path(first).stat().st_size/1e6:.1f} MB: the same from the checkout and from the sdist')


if __name__=='__main__':
    if len(sys.argv)!=3: raise SystemExit('Say which two wheels to compare: python tools/check_dist.py A.whl B.whl')
    main(*sys.argv[1:])
