"""Import one module in a process of its own, and print as JSON what it brought along: `python -P probe.py meme_nb.schedulers`"""
import importlib, json, sys, time


def code_objects(code):
    "`code` and all functions, classes and lambdas in it"
    yield code
    for const in code.co_consts:
        if hasattr(const, 'co_code'): yield from code_objects(const)


def undefined(module):
    "Names that functions of `module` look up in the module, and that are not there (but perhaps were in the notebook)"
    import builtins, dis
    with open(module.__file__, encoding='utf-8') as f: code = compile(f.read(), module.__file__, 'exec')
    known = {*vars(module), *vars(builtins)}
    return sorted({f'{i.argval} (in {c.co_name})' for c in code_objects(code) for i in dis.get_instructions(c)
                   if i.opname=='LOAD_GLOBAL' and i.argval not in known})


def probe(name):
    wall, cpu = time.perf_counter(), time.process_time()
    module = importlib.import_module(name)
    wall, cpu = time.perf_counter()-wall, time.process_time()-cpu
    heavy = sorted({'fastai', 'matplotlib'} & set(sys.modules))
    lost = [n for n in getattr(module, '__all__', []) if not hasattr(module, n)]
    return dict(wall=wall, cpu=cpu, heavy=heavy, lost=lost, undefined=undefined(module) if name.startswith('meme_nb') else [])


print(json.dumps(probe(sys.argv[1])))
