#!/bin/bash
# Keeps a copy of a tree: mirror.sh SOURCE COPY. COPY must not exist. Needs jq and GNU cp.
#
# An event only says where to copy again. What is there now is read from the disk, so an event that is old,
# or that is shown twice, does no harm. Contents are copied, not permissions. inotify reports a write only
# under the name that was written, not under other hard links of the file.

mkdir -- "$2" && copy=$(realpath -- "$2") && cd -- "$1" || exit 1

# Writes the first word, the path and the reason. The bytes of the path are percent-encoded, because a name
# can contain spaces and newlines. A name that is not UTF-8 has its exact bytes in a second field.
fields='
    def bytes($key):
        if has($key + "_hex")
        then .[$key + "_hex"] | [range(0; length; 2) as $at | "%" + .[$at:$at + 2]] | add
        else .[$key] | @uri end;
    select(.name) | "\(.events[0]) \(bytes("dir"))\(bytes("name")) \(.why // "")"'

# Returns success if the path is outdated, and leads through a link that came since.
is_below_link() {
    local path=$1
    while path=${path%/*}; [[ $path != . ]]; do
        [[ -L $path || -L $copy/$path ]] && return 0
    done
    return 1
}

tinotify -mrq --json --existing --snapshot -e create,delete,move,modify,attrib,unmount . |
    jq -r --unbuffered "$fields" |
    while read -r word path why; do
        printf -v path %b "${path//%/\\x}"
        [[ $word == UN* ]] && printf 'mirror: not watched: %q: %s\n' "$path" "$why" >&2
        is_below_link "$path" && continue
        if [[ $word == EXISTING && -d $path && ! -L $path ]]; then
            mkdir -p -- "$copy/$path"
            continue
        fi
        [[ -e $copy/$path || -L $copy/$path ]] && rm -rf -- "${copy:?}/$path"
        if [[ -f $path || -d $path || -L $path ]]; then
            cp -RP --no-preserve=mode -- "$path" "$copy/$path"
        fi
    done
