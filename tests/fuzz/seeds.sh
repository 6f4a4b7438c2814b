#!/usr/bin/env bash
# Cuts pieces of real files into corpus/, for `cargo fuzz` to begin with: a target's controls (the bytes that it takes
# first), then a piece. What is not there is passed over; the targets work without.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
data=${1:-../../../shared/data}
scratch=$(mktemp -d)
trap 'rm -r "$scratch"' EXIT

# Target, name, controls as printf has them; the piece comes in.
seed() {
    mkdir -p "corpus/$1"
    { printf "$3"; cat; } > "corpus/$1/$2"
}

# Pieces of what comes in: target, name, controls, bytes in each, then the places.
pieces() {
    local target=$1 name=$2 controls=$3 bytes=$4 whole=$scratch/whole
    shift 4
    cat > "$whole"
    for at in "$@"; do
        dd if="$whole" bs=4k iflag=skip_bytes,count_bytes skip="$at" count="$bytes" status=none |
            seed "$target" "$name-$at" "$controls"
    done
}

unpack() {
    case $1 in
        *.gz) gzip -cd "$1" 2> /dev/null || true ;;
        *.bz2) bzip2 -cd "$1" 2> /dev/null || true ;;
        *) cat "$1" ;;
    esac
}

for file in "$data"/wikipedia/*; do
    [ -f "$file" ] || continue
    name=$(basename "$file")
    # The first 2 MB have examples of everything.
    unpack "$file" | head -c 2000000 > "$scratch/seed.xml" || true
    pieces wiki_pages "$name" '\0\377\7\0\0\0' 3000 0 20000 90000 < "$scratch/seed.xml"
    sed 's/&lt;/</g; s/&gt;/>/g; s/&quot;/"/g; s/&amp;/\&/g' "$scratch/seed.xml" |
        pieces wiki_text "$name" '\3\1\0\0' 1500 3000 21000 47000 95000 210000 480000 990000
done
for file in "$data"/news-warc/*arc "$data"/news-warc/*arc.gz; do
    [ -f "$file" ] || continue
    name=$(basename "$file")
    pieces warc "$name" '\0\0\377\100\0\0\0\0' 4000 0 < "$file"
    unpack "$file" | head -c 3000000 > "$scratch/seed.warc" || true
    pieces warc "$name-text" '\0\0\377\100\0\0\0\0' 4000 0 15000 < "$scratch/seed.warc"
    pieces html "$name" '\0\0\0\0' 4000 1500 9000 40000 150000 700000 < "$scratch/seed.warc"
done
for file in "$data"/books/gitenberg/* "$data"/books/*.txt "$data"/stories/* "$data"/web/*.jsonl; do
    [ -f "$file" ] || continue
    name=$(basename "$file")
    pieces text "$name" '\0\2\0\0' 1500 0 1200 30000 < "$file"
    tail -c 20000 "$file" | pieces text "$name-end" '\0\2\0\0' 1500 0
done

# bzip2 and the article that the extractor asks for are quickly made.
for level in 1 9; do
    head -c 600 "$0" | bzip2 "-$level" | seed bzip "stream-$level" '\0\0\200\7'
done
{ head -c 200 "$0" | bzip2; head -c 400 "$0" | bzip2; } | seed bzip streams '\0\0\100\3'
printf 'one\377two\377\377three' | seed bzip made '\1\0\200\7\0\0\0'
printf '<html lang=en><title>T</title><body><nav><a href=/>Home</a></nav><article><h1>T</h1><p>%s</p><p>%s</p></article>' \
    "The rocket, built by a private company, left the ground this morning without any trouble, officials said." \
    "A second paragraph, with some more words in it, so that there is an article, follows the first one." |
    seed html made '\0\0\0\0'
for target in corpus/*; do
    echo "$target: $(find "$target" -type f | wc -l) seeds"
done
