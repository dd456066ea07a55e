"""How well the notebooks keep the style of the house: `python tools/measure_style.py`

For each notebook: exported cells and their lines, the longest line, the share of cells that a picture or a test follows at once, lines of functions,
parameters that a comment explains, public names that some cell uses, and its size. `tests/test_package.py` holds the limits.
"""
import ast, json, re, statistics
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
AT_MOST = dict(median_lines=10, lines_of_nine_in_ten=25, most_lines=60, longest_line=150, most_statements_of_a_line=3)
AT_LEAST = dict(demonstrated=.6, documented=.9, exemplified=.9)
LIMITS = AT_MOST | AT_LEAST


def cells(notebook):
    "(kind, source without directives, whether exported) of each cell"
    for c in json.loads(notebook.read_text(encoding='utf-8'))['cells']:
        source = ''.join(c['source'])
        exported = c['cell_type']=='code' and bool(re.match(r'#\s*\|\s*exports?\b', source))
        yield c['cell_type'], re.sub(r'^(#\s*\||[%!]).*\n?', '', source, flags=re.M), exported

def lines(source): return sum(map(bool, map(str.strip, source.splitlines())))

def is_import(source):
    body = ast.parse(source).body
    return all(isinstance(o, (ast.Import, ast.ImportFrom)) for o in body)

def functions(source):
    "Functions of a cell, and the methods of its classes"
    return [o for o in ast.walk(ast.parse(source)) if isinstance(o, (ast.FunctionDef, ast.AsyncFunctionDef))]

def public(source):
    "Functions that a user may call, and `__init__` of public classes, with the name to look for"
    for o in ast.parse(source).body:
        if isinstance(o, ast.FunctionDef) and not o.name.startswith('_'): yield o.name, o
        if isinstance(o, ast.ClassDef) and not o.name.startswith('_'):
            yield from ((o.name, f) for f in o.body if isinstance(f, ast.FunctionDef) and f.name=='__init__')

def explained(f, source):
    "Whether each parameter but `self` has a comment on its line, or its line is shared by parameters under one comment"
    text = source.splitlines()
    args = [a for a in [*f.args.posonlyargs, *f.args.args, *f.args.kwonlyargs] if a.arg not in ('self', 'cls')]
    short = len(args)<=1 and f.lineno==f.body[0].lineno-1 and ast.get_docstring(f)      # `def f(x:Tensor): "What it does to x"`
    return bool(short) or all('#' in text[a.lineno-1] for a in args)

def crowd(source):
    "Most statements that begin on one line"
    starts = Counter(o.lineno for o in ast.walk(ast.parse(source)) if isinstance(o, ast.stmt))
    return max(starts.values(), default=0)

def measure(notebook):
    "The figures of one notebook, as lists so that they add up"
    found = list(cells(notebook))
    code = [(i, s) for i, (kind, s, exported) in enumerate(found) if exported and not is_import(s)]
    sources = [s for _, s, exported in found if exported]
    others = '\n'.join(s for kind, s, exported in found if not exported)
    def shown(i): return i+1<len(found) and found[i+1][0]=='code' and not found[i+1][2]
    names = [(n, f, s) for _, s in code for n, f in public(s)]
    return dict(lines=[lines(s) for s in sources], widths=[len(l) for s in sources for l in s.splitlines()], crowds=[crowd(s) for s in sources],
                shown=[shown(i) for i, _ in code], functions=[f.end_lineno-f.lineno+1 for _, s in code for f in functions(s)],
                documented=[explained(f, s) for _, f, s in names], exemplified=[bool(re.search(rf'\b{n}\b', others)) for n, _, _ in names],
                undocumented=[n for n, f, s in names if not explained(f, s)], size=[notebook.stat().st_size])

def share(flags): return sum(flags)/len(flags) if flags else 1.

def summary(rows):
    "The figures of several notebooks together"
    al = {k: [o for r in rows for o in r[k]] for k in rows[0]}
    n = sorted(al['lines'])
    return dict(exports=len(n), median_lines=statistics.median(n), lines_of_nine_in_ten=n[int(.9*len(n))], most_lines=n[-1],
                longest_line=max(al['widths'], default=0), most_statements_of_a_line=max(al['crowds'], default=0),
                median_function=statistics.median(al['functions']), **{k: share(al[k]) for k in ('documented', 'exemplified')}, demonstrated=share(al['shown']))

def beyond(total):
    "What does not keep its limit: name to (figure, limit)"
    return {k: (total[k], limit) for k, limit in LIMITS.items() if (total[k]>limit if k in AT_MOST else total[k]<limit)}

def notebooks(): return sorted(p for p in (ROOT/'nbs').rglob('*.ipynb') if not any(part[0] in '._' for part in p.relative_to(ROOT).parts))

def main():
    rows = {p.relative_to(ROOT/'nbs').as_posix(): measure(p) for p in notebooks()}
    print(f"{'notebook':36}{'kB':>6}{'exports':>9}{'lines':>7}{'shown':>7}{'documented':>12}")
    for name, r in rows.items():
        line = f"{len(r['lines']):9}{statistics.median(r['lines']):7.0f}{share(r['shown']):7.0%}{share(r['documented']):12.0%}" if r['lines'] else ''
        print(f"{name:36}{r['size'][0]/1e3:6.0f}{line}" + (f"  not: {', '.join(r['undocumented'])}" if r['undocumented'] else ''))
    total = summary(list(rows.values()))
    print(*(f'{k}: {v:.3g}'+(f' (limit {LIMITS[k]})' if k in LIMITS else '') for k, v in total.items()), sep='\n')


if __name__=='__main__': main()
