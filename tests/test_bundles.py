"Bundles on disk against all odds: a thousand mutations, fifty killed processes"
import json, os, random, re, shutil, signal, time
import pytest, torch
from meme_nb.experts import DiT, UNet
from meme_nb.model import MEME, BundleError
from meme_nb.router import IntervalRouter
from meme_nb.schedulers import cosine_schedule

linux = pytest.mark.skipif(not os.path.exists('/proc/self/clear_refs'), reason='reads /proc')


def model(seed):
    torch.manual_seed(seed)
    m = MEME([UNet(1, 8, mix=.5), UNet(1, 8, mix=1.), DiT(1, 8, depth=1)], IntervalRouter(3), cosine_schedule(), 'v', size=(1,8,8))
    for p in m.parameters(): torch.nn.init.normal_(p, std=.1)           # fresh ones all predict 0
    return m


def prediction(m):
    with torch.no_grad():
        for p in m.parameters(): assert p.isfinite().all()
        return m(torch.zeros(3, 1, 8, 8), torch.tensor([0,500,999]))


# ---- mutations -----------------------------------------------------------------------------------------------------

def flip(rng, folder):
    "One bit of any file"
    f = rng.choice(sorted(folder.iterdir())); data = bytearray(f.read_bytes())
    data[rng.randrange(len(data))] ^= 1<<rng.randrange(8); f.write_bytes(data)

def truncate(rng, folder):
    f = rng.choice(sorted(folder.iterdir())); data = f.read_bytes(); f.write_bytes(data[:rng.randrange(len(data))])

def swap(rng, folder):
    "Two experts' files change places, or only their contents"
    a,b = rng.sample(sorted(folder.glob('expert_*')), 2); data = a.read_bytes(); a.write_bytes(b.read_bytes()); b.write_bytes(data)

def remove(rng, folder): rng.choice(sorted(folder.iterdir())).unlink()

def signed(rng, folder):
    "Weights changed by someone who knows how to sign: header, tensors' names, order, values"
    import hashlib
    cfg = json.loads((folder/'config.json').read_text()); row = rng.choice(cfg['experts']); f = folder/row['file']
    data = f.read_bytes(); n = int.from_bytes(data[:8], 'little'); head = json.loads(data[8:8+n])
    names = [k for k in head if k!='__metadata__']; a,b = rng.sample(names, 2)
    kind = rng.randrange(6)
    if kind==0: head[a],head[b] = head[b],head[a]
    elif kind==1: head[a]['shape'] = [10**rng.randrange(3, 18)]*2
    elif kind==2: head[rng.choice(['x','',a+'/../b'])] = head.pop(a)
    elif kind==3: head[a]['data_offsets'] = [0, rng.choice([-1, 0, 10**15])]
    elif kind==4: head[a]['dtype'] = rng.choice(['I64','F16','BOOL','?'])
    else: del head[a]
    new = json.dumps(head).encode(); data = len(new).to_bytes(8, 'little') + new + data[8+n:]
    if rng.random()<.1: data = (2**rng.randrange(20, 64)-1).to_bytes(8, 'little') + data[8:]
    f.write_bytes(data); row['sha256'] = hashlib.sha256(data).hexdigest(); (folder/'config.json').write_text(json.dumps(cfg))

ODD = [None, True, -1, 0, 1, 2.5, 10**6, 10**9, 10**18, 1e308, float('nan'), '', 'x', '../../etc/passwd', '/dev/zero', 'os.system("true")', [], [0], [10**9]*3, [-1]*50, {}, {'kind':'UNet'}]

def edit(rng, folder):
    "A value somewhere in the config becomes an odd one, or its key goes"
    f = folder/'config.json'; cfg = node = json.loads(f.read_text())
    while True:
        key = rng.choice(sorted(node) if isinstance(node, dict) else range(len(node)))
        if isinstance(node[key], (dict,list)) and node[key] and rng.random()<.85: node = node[key]; continue
        if rng.random()<.15: del node[key]
        else: node[key] = rng.choice(ODD)
        break
    f.write_text(json.dumps(cfg))

def tree(folder): return {p.relative_to(folder): p.stat().st_mtime_ns for p in folder.rglob('*')}

def peak(): return int(re.search(r'VmHWM:\s+(\d+)', open('/proc/self/status').read())[1])*1024

def rss(): return int(re.search(r'VmRSS:\s+(\d+)', open('/proc/self/status').read())[1])*1024


@linux
def test_a_thousand_mutations(tmp_path):
    "Each loads, or raises BundleError, within a second (of the processor: others may be at work) and 200 MB, and touches nothing"
    rng = random.Random(0); sound = model(0).save(tmp_path/'sound'); want = prediction(MEME.load(sound)); outcomes = {}
    for i in range(1000):
        mutate = rng.choices([flip, truncate, swap, remove, signed, edit], [2,1,.5,.5,2,4])[0]
        shutil.copytree(sound, tmp_path/'b'); mutate(rng, tmp_path/'b'); before = tree(tmp_path)
        with open('/proc/self/clear_refs', 'w') as f: f.write('5')
        low,start = rss(),time.process_time()
        try: m = MEME.load(tmp_path/'b')
        except BundleError as e: assert len(str(e))>20; m = None
        seconds,memory = time.process_time()-start,peak()-low
        assert seconds<1 and memory<200e6, f'{i} {mutate.__name__}: {seconds:.2f} s, {memory/1e6:.0f} MB'
        assert tree(tmp_path)==before, f'{i} {mutate.__name__} left something behind'
        if m is not None and mutate in (flip, truncate, remove): assert torch.equal(prediction(m), want), f'{i} {mutate.__name__} went unnoticed'
        outcomes.setdefault(mutate.__name__, []).append(m is None); shutil.rmtree(tmp_path/'b')
    assert all(any(o) for o in outcomes.values()) and all(all(outcomes[k]) for k in ('truncate','swap','remove')), outcomes


# ---- killed while saving -------------------------------------------------------------------------------------------

@linux
def test_fifty_kills_while_saving(tmp_path):
    "SIGKILL at a random moment: the folder holds the old bundle or the new one, whole, and no more than one save's litter"
    rng = random.Random(0); models = [model(1), model(2)]; want = [prediction(m) for m in models]
    folder = models[0].save(tmp_path/'b'); start = time.perf_counter(); models[1].save(folder); took = time.perf_counter()-start; seen = set()
    assert not torch.equal(*want)
    for i in range(50):
        pid = os.fork()
        if pid==0:
            try:
                while True:
                    for m in models: m.save(folder)
            finally: os._exit(1)
        time.sleep(rng.random()*4*took); os.kill(pid, signal.SIGKILL); assert os.waitpid(pid, 0)[1]==signal.SIGKILL
        got = prediction(MEME.load(folder)); which = [torch.equal(got, w) for w in want]
        assert any(which), f'kill {i} left a mixture'
        seen.add(which.index(True))
        assert len(list(folder.glob('expert_*')))<=6
    assert seen=={0,1}, f'the kills never came between two saves ({took:.3f} s each): the test proves nothing'
    for f in folder.glob('.*.part'): os.utime(f, (0,0))
    models[0].save(folder); assert len(list(folder.iterdir()))==4


def test_a_save_while_others_read(tmp_path):
    "A reader that meets a save reads again"
    folder = model(1).save(tmp_path/'b'); pid = os.fork() if hasattr(os, 'fork') else pytest.skip('needs fork')
    if pid==0:
        try:
            while True: model(1).save(folder); model(2).save(folder)
        finally: os._exit(1)
    try:
        for _ in range(50): MEME.load(folder)
    finally: os.kill(pid, signal.SIGKILL); os.waitpid(pid, 0)
