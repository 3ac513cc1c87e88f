# What goes into a toolchain tree, beside toolchain.txt. Everything here is part of the tree's name: change it, and a new tree is made.
engram_suite=forky

# Options of mmdebstrap that shape the tree's content. Documentation and translations are left out: nobody reads them there.
engram_tree_options=(
    --variant=apt
    --components=main
    --dpkgopt='path-exclude=/usr/share/man/*'
    --dpkgopt='path-exclude=/usr/share/doc/*'
    --dpkgopt='path-exclude=/usr/share/info/*'
    --dpkgopt='path-exclude=/usr/share/locale/*'
    --dpkgopt=force-unsafe-io
)
