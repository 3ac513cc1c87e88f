# engram_tree_name CHECKOUT LIST: prints the folder name of the tree made from LIST (toolchain or training) that this checkout
# needs. The name contains a checksum of the package list and of the recipe, so that a change of either makes a new tree and equal
# checkouts share one.
engram_tree_name() {
    local sum
    sum=$(cat "$(engram_package_list "$1" "$2")" "$1/tools/toolchain/recipe.sh" | cksum)
    sum=${sum%% *}
    printf '%s-%08x\n' "$2" "$sum"
}

# engram_package_list CHECKOUT LIST: prints the file that names LIST's packages.
engram_package_list() {
    printf '%s/tools/toolchain/%s.txt\n' "$1" "$2"
}
