//! `TopicIndex`: subscriptions in one of the engine's structures, to be filled and measured.

use std::hint::black_box;
use std::time::Instant;

use pyo3::prelude::*;
use sp_proto::topics::layout::{Layout, Room};
use sp_proto::topics::{PrefixList, RadixTree, Topics, Trie};

use crate::errors::error;

pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<PyTopicIndex>()
}

/// Keys are all of one width, one behind the other.
#[pyclass(name = "TopicIndex", module = "workbench._engine")]
pub(crate) struct PyTopicIndex {
    index: Index,
}

enum Index {
    List(PrefixList),
    Radix(RadixTree),
    Trie(Trie),
}

impl Index {
    fn topics(&self) -> &(dyn Topics + Sync) {
        match self {
            Index::List(list) => list,
            Index::Radix(tree) => tree,
            Index::Trie(trie) => trie,
        }
    }

    fn topics_mut(&mut self) -> &mut (dyn Topics + Send) {
        match self {
            Index::List(list) => list,
            Index::Radix(tree) => tree,
            Index::Trie(trie) => trie,
        }
    }
}

#[pymethods]
impl PyTopicIndex {
    #[new]
    fn new(py: Python<'_>, kind: &str) -> PyResult<PyTopicIndex> {
        let index = match kind {
            "list" => Index::List(PrefixList::default()),
            "radix" => Index::Radix(RadixTree::default()),
            "trie" => Index::Trie(Trie::default()),
            _ => return Err(error(py, "OptionError", format!("unknown index {kind:?}: list, radix, trie"))),
        };
        Ok(PyTopicIndex { index })
    }

    fn fill(&mut self, py: Python<'_>, keys: &[u8], width: usize) -> PyResult<()> {
        let keys = apart(py, keys, width)?;
        py.detach(|| match &mut self.index {
            Index::List(list) => *list = PrefixList::of_distinct(keys),
            Index::Radix(tree) => keys.for_each(|key| {
                tree.add(key);
            }),
            Index::Trie(trie) => keys.for_each(|key| {
                trie.add(key);
            }),
        });
        Ok(())
    }

    fn add(&mut self, py: Python<'_>, keys: &[u8], width: usize) -> PyResult<f64> {
        let keys = apart(py, keys, width)?;
        let topics = self.index.topics_mut();
        Ok(py.detach(|| {
            seconds(|| {
                keys.for_each(|key| {
                    black_box(topics.add(key));
                })
            })
        }))
    }

    fn remove(&mut self, py: Python<'_>, keys: &[u8], width: usize) -> PyResult<f64> {
        let keys = apart(py, keys, width)?;
        let topics = self.index.topics_mut();
        Ok(py.detach(|| {
            seconds(|| {
                keys.for_each(|key| {
                    black_box(topics.remove(key));
                })
            })
        }))
    }

    fn matches(&self, py: Python<'_>, bodies: &[u8], width: usize) -> PyResult<(f64, usize)> {
        let bodies = apart(py, bodies, width)?;
        let topics = self.index.topics();
        let mut found = 0;
        let took = py.detach(|| seconds(|| found = bodies.filter(|body| topics.matches(black_box(body))).count()));
        Ok((took, found))
    }

    fn __len__(&self) -> usize {
        self.index.topics().len()
    }

    fn bytes(&self) -> usize {
        self.index.topics().bytes()
    }

    fn nodes(&self) -> usize {
        let mut nodes = 0;
        self.index.topics().kin(&mut |_| nodes += 1);
        nodes
    }

    fn layouts(&self) -> Vec<(&'static str, usize, usize)> {
        let told = |library, room: Room| (library, room.nodes, room.bytes);
        match &self.index {
            Index::List(_) => Vec::new(),
            Index::Trie(trie) => vec![told("zeromq", Layout::of_trie(trie))],
            Index::Radix(tree) => [("zeromq", Layout::ZeromqRadix), ("nanomsg", Layout::Nanomsg)]
                .into_iter()
                .filter_map(|(library, layout)| Some(told(library, layout.of_tree(tree)?)))
                .collect(),
        }
    }
}

fn apart<'a>(py: Python<'_>, keys: &'a [u8], width: usize) -> PyResult<std::slice::ChunksExact<'a, u8>> {
    if width == 0 || keys.len() % width != 0 {
        let text = format!("{} bytes are no keys of {width} bytes", keys.len());
        return Err(error(py, "OptionError", text));
    }
    Ok(keys.chunks_exact(width))
}

fn seconds(act: impl FnOnce()) -> f64 {
    let began = Instant::now();
    act();
    began.elapsed().as_secs_f64()
}
