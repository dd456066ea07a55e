"""Train the frozen classifier behind `FD (fashion classifier)`: `python tools/train_fashion_classifier.py [FOLDER]`

FOLDER holds the four IDX files of the whole Fashion-MNIST. Writes the weights (as float16) and their record into
meme_nb/assets. One thread and a fixed seed: the same machine and the same torch give the same bytes."""
import datetime, hashlib, json, os, platform, sys, time
import torch, torch.nn.functional as F
from safetensors.torch import save
from meme_nb.data import BatchLoader, assets, debian_fashion, fashion_mnist
from meme_nb.metrics import FashionClassifier, accuracy, fashion_classifier

seed,epochs,bs,lr = 0,5,256,4e-3

def train(images):
    "One-cycle AdamW on cross entropy; each batch is shifted by up to 2 pixels (the images have a black border of 2)"
    torch.manual_seed(seed); torch.set_num_threads(1); torch.use_deterministic_algorithms(True)
    model,dl = FashionClassifier().to(memory_format=torch.channels_last),BatchLoader(images, bs, seed=seed)
    opt = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=.02)
    sched = torch.optim.lr_scheduler.OneCycleLR(opt, lr, epochs*len(dl), pct_start=.2)
    for epoch in range(epochs):
        total,start = 0.,time.time()
        for x,y in dl:
            x = torch.roll(x, torch.randint(-2, 3, (2,)).tolist(), (2,3))
            loss = F.cross_entropy(model(x), y, label_smoothing=.05)
            opt.zero_grad(); loss.backward(); opt.step(); sched.step()
            total += loss.item()
        print(f'epoch {epoch+1} of {epochs}: loss {total/len(dl):.4f}, {time.time()-start:.0f} s', flush=True)
    return model.eval()

def main(path=debian_fashion):
    images,test,file = fashion_mnist(path=path),fashion_mnist('test', path=path),assets/'fashion_classifier.safetensors'
    model = train(images)
    half = {k: v.half().contiguous() if v.is_floating_point() else v for k,v in model.state_dict().items()}
    file.write_bytes(save(half))
    model.load_state_dict(half)                # what is measured is what was saved
    acc = accuracy(model, test)
    record = dict(
        purpose='Features for `FD (fashion classifier)` (meme_nb.metrics): the 64 averages before the last layer of a small CNN',
        command='python tools/train_fashion_classifier.py', seed=seed, epochs=epochs, train_images=len(images),
        test_accuracy=acc, n=len(test), sha256=hashlib.sha256(file.read_bytes()).hexdigest(), torch=torch.__version__,
        hardware=f'{os.cpu_count()} CPU cores (1 used), {platform.machine().replace("_", "-")} with {torch.backends.cpu.get_cpu_capability()}',
        date=datetime.date.today().isoformat())
    file.with_suffix('.json').write_text(json.dumps(record, indent=1)+'\n')
    assert accuracy(fashion_classifier(), test)==acc
    print(f'{acc:.2%} of {len(test):,} test images; {file.name} has {file.stat().st_size:,} bytes, sha256 {record["sha256"]}')

if __name__=='__main__': main(*sys.argv[1:])
