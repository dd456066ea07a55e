"""Make the embedded emoji from two npm packages: `python tools/make_emoji.py GOOGLE FLUENT`

`npm pack emoji-datasource-google@16.0.0` and `npm pack @lobehub/fluent-emoji-3d@1.1.0`, both unpacked; the folders that hold
`package.json`. Skin tones are left out, and Fluent's flags, which Microsoft does not draw. One emoji in five is for testing, with
its variants (woman, man, person), in both styles.
"""
import json, sys
from pathlib import Path
import numpy as np
from PIL import Image

size, cols, levels = 64, 64, 63                      # pixels; pictures in a row; six bits a channel: 49 dB, a third fewer bytes
variants = set('200D FE0F 2640 2642 1F468 1F469 1F9D1'.split())     # joiner, style, and signs and heads of women, men, persons
out = Path(__file__).parent.parent/'meme_nb'/'assets'

def on_white(f):
    with Image.open(f) as im: im = im.convert('RGBA')
    return np.asarray(Image.alpha_composite(Image.new('RGBA', im.size, 'white'), im).convert('RGB').resize((size,size), Image.LANCZOS))

def base(code):
    "What variants of an emoji have in common"
    return '-'.join(k for k in code.split('-') if k not in variants) or code

def rows(google, fluent):
    "(picture, class, base, style) of every emoji"
    for e in json.loads((google/'emoji.json').read_text(encoding='utf-8')):
        codes = [c.lower() for c in (e['unified'], e['unified'].replace('-FE0F',''), e['non_qualified'] or '')]
        noto = on_white(google/'img'/'google'/'64'/e['image']); yield noto, e['category'], base(e['unified']), 0
        f = next((f for c in codes if (f := fluent/'assets'/f'{c}.webp').is_file()), None)
        if f and e['category']!='Flags': yield on_white(f), e['category'], base(e['unified']), 1

def main(google, fluent):
    x, category, bases, style = zip(*(r for r in rows(Path(google), Path(fluent)) if r[1]!='Component'))
    classes = sorted(set(category)); names = sorted(set(bases)); test = set(np.random.default_rng(0).permutation(names)[::5])
    sheet = np.zeros((-(-len(x)//cols)*size, cols*size, 3), np.uint8)
    for i in (order := np.lexsort((category, style))):           # alike beside alike: smaller
        at = int(np.flatnonzero(order==i)[0]); r, c = at//cols*size, at%cols*size
        sheet[r:r+size, c:c+size] = np.round(x[i]/255*levels)
    Image.fromarray(sheet).save(out/'emoji.webp', lossless=True, method=6, quality=100)
    facts = dict(classes=classes, size=size, levels=levels, y=[classes.index(category[i]) for i in order], test=[int(bases[i] in test) for i in order], style=[style[i] for i in order])
    (out/'emoji.json').write_text(json.dumps(facts, separators=(',',':'))+'\n')
    print(len(x), 'pictures', len(names), 'bases', sum(facts['test']), 'for testing', np.bincount(facts['y']), sum(style), 'Fluent', (out/'emoji.webp').stat().st_size)

if __name__=='__main__': main(*sys.argv[1:])
