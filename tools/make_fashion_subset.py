"Make `meme_nb/assets/fashion_mnist.npz` from the whole Fashion-MNIST: `python tools/make_fashion_subset.py [FOLDER]`"
import sys
import numpy as np
from meme_nb.data import assets, debian_fashion, fashion_mnist

def first(images, n):
    "The first `n` images of each class, class by class, 28 x 28"
    i = np.concatenate([np.flatnonzero(images.y.numpy()==c)[:n] for c in range(10)])
    return images.x[i,:,:,0].numpy(),images.y[i].numpy().astype(np.uint8)

def main(path=debian_fashion):
    out = {}
    for split,n in dict(train=500, test=200).items(): out[f'{split}_x'],out[f'{split}_y'] = first(fashion_mnist(split, 28, path), n)
    np.savez_compressed(assets/'fashion_mnist.npz', **out)

if __name__=='__main__': main(*sys.argv[1:])
