"""Packaging of meme_nb: every value comes from settings.ini, the nbdev way."""
import re, shlex
from configparser import ConfigParser
from pathlib import Path
from setuptools import setup, find_packages

HERE = Path(__file__).parent
NEEDED = 'lib_name version description keywords author author_email license git_url branch status min_python audience language requirements'.split()
LICENSES = {'apache2': 'Apache-2.0', 'mit': 'MIT'}
STATUSES = ['1 - Planning', '2 - Pre-Alpha', '3 - Alpha', '4 - Beta', '5 - Production/Stable', '6 - Mature', '7 - Inactive']
PYTHONS = ['3.10', '3.11', '3.12', '3.13', '3.14']


def read_settings(path):
    "The settings at `path`, or an error that says what is wrong"
    ini = ConfigParser(delimiters=['='])
    if not ini.read(path, encoding='utf-8'):
        raise SystemExit(f'setup.py takes everything from {path.name}, and found none in {path.parent}: run it from a complete checkout or sdist.')
    missing = [k for k in NEEDED if k not in ini['DEFAULT']]
    if missing: raise SystemExit(f'settings.ini lacks {", ".join(missing)}: add a line `key = value` for each.')
    return ini['DEFAULT']


def words(cfg, key):
    "The words of a setting; a requirement with spaces in it is quoted"
    return shlex.split(cfg.get(key, ''))


def extras(cfg):
    "`extras_x = ...` is the extra `x`; `dev_requirements` is the extra `dev`"
    named = {k.removeprefix('extras_'): words(cfg, k) for k in cfg if k.startswith('extras_')}
    return {**named, 'dev': words(cfg, 'dev_requirements')}


def readme(cfg):
    "The README for a package index, where relative links lead nowhere"
    text = (HERE/'README.md').read_text(encoding='utf-8')
    text = re.sub(r'(?<=\]\()(?=nbs/images/)', f"{cfg['git_url']}/raw/{cfg['branch']}/", text)
    return re.sub(r'(?<=\]\()(?=nbs/)', f"{cfg['git_url']}/blob/{cfg['branch']}/", text)


def classifiers(cfg):
    pythons = PYTHONS[PYTHONS.index(cfg['min_python']):]
    return [f"Development Status :: {STATUSES[int(cfg['status'])-1]}",
            f"Intended Audience :: {cfg['audience'].title()}",
            f"Natural Language :: {cfg['language'].title()}",
            *(f'Programming Language :: Python :: {p}' for p in pythons)]


cfg = read_settings(HERE/'settings.ini')
lib = cfg['lib_name']
setup(
    name=lib,
    version=cfg['version'],
    description=cfg['description'],
    long_description=readme(cfg),
    long_description_content_type='text/markdown',
    keywords=cfg['keywords'],
    author=cfg['author'],
    author_email=cfg['author_email'],
    url=cfg['git_url'],
    project_urls={'Documentation': cfg.get('doc_host', '') + cfg.get('doc_baseurl', '')},
    license=LICENSES[cfg['license']],
    classifiers=classifiers(cfg),
    packages=find_packages(include=[lib, f'{lib}.*']),
    include_package_data=False,            # nothing but Python and what the next line names
    package_data={lib: ['assets/*', 'assets/bundles/*/*']},      # images, weights and their notices
    python_requires=f">={cfg['min_python']}",
    install_requires=words(cfg, 'requirements'),
    extras_require=extras(cfg),
    entry_points={'console_scripts': words(cfg, 'console_scripts'),
                  'nbdev': [f'{lib}={lib}._modidx:d']},      # what `doc links` in other projects' notebooks look up
    zip_safe=False,
)
