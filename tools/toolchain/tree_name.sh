# engram_tree_name CHECKOUT: prints the folder name of the toolchain tree that this checkout needs. The name contains a checksum
# of the package list and of the recipe, so that a change of either makes a new tree and equal checkouts share one.
engram_tree_name() {
    local sum
    sum=$(cat "$1/tools/toolchain/packages.txt" "$1/tools/toolchain/recipe.sh" | cksum)
    sum=${sum%% *}
    printf 'toolchain-%08x\n' "$sum"
}
