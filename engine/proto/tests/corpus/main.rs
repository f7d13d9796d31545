//! The bytes that are kept in `engine/fuzz/corpus`, told to every target again: golden ones, and those that once did harm.

mod targets;

use std::fs;
use std::path::Path;

#[test]
fn what_was_kept_does_no_harm() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus");
    for (name, target) in targets::TARGETS {
        let folder = corpus.join(name);
        let files = fs::read_dir(&folder).unwrap_or_else(|problem| panic!("{}: {problem}", folder.display()));
        let mut count = 0;
        for file in files {
            let data = fs::read(file.unwrap().path()).unwrap();
            target(&data);
            // Cut short and with a bit turned over it does no harm either.
            for place in 0..data.len() {
                target(&data[..place]);
                let mut other = data.clone();
                other[place] ^= 1 << (place % 8);
                target(&other);
            }
            count += 1;
        }
        assert!(count >= 5, "there are only {count} files in {}", folder.display());
    }
}
