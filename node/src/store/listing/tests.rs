use super::*;
use crate::store::testing::{Home, blocking};

fn id(number: u32) -> DatasetId {
    DatasetId::from_hash(Hash::of(&number.to_le_bytes()))
}

fn part<'a>(prefix: &'a str, after: &'a str, max: usize) -> Part<'a> {
    Part { prefix, after, max }
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_come_page_by_page_in_the_order_of_their_texts() {
    let home = Home::new().await;
    let store = home.store.clone();
    blocking(move || {
        assert_eq!(
            store.listed_ids(&part("", "", 10), |_| true).unwrap(),
            [""; 0]
        );
        // So many that groups have parts, and these have parts.
        let ids: Vec<_> = (0..12_000).map(id).collect();
        for id in &ids {
            let key = id.hash();
            let put = store.inner.index.put(Table::Datasets, key.as_bytes(), &[]);
            put.unwrap();
        }
        let mut expected: Vec<_> = ids.iter().map(|id| format!("{id}/")).collect();
        expected.sort_unstable();
        let mut pages: Vec<String> = Vec::new();
        loop {
            let after = pages.last().cloned().unwrap_or_default();
            let page = store.listed_ids(&part("", &after, 999), |_| true).unwrap();
            if page.is_empty() {
                break;
            }
            assert!(page.len() <= 999);
            pages.extend(page);
        }
        assert_eq!(pages, expected);
        for prefix in [
            "bafyr4i",
            "bafyr4ih",
            "bafyr4ic2",
            "bafyr4ia22",
            "x",
            "bafkr",
        ] {
            let some: Vec<_> = expected
                .iter()
                .filter(|id| id.starts_with(prefix))
                .collect();
            let listed = store
                .listed_ids(&part(prefix, "", usize::MAX), |_| true)
                .unwrap();
            assert_eq!(listed.iter().collect::<Vec<_>>(), some, "{prefix}");
        }
        let whole = expected[77].trim_end_matches('/');
        let listed = store.listed_ids(&part(whole, "", 5), |_| true).unwrap();
        assert_eq!(listed, expected[77..78]);
        assert_eq!(
            store.listed_ids(&part(whole, whole, 5), |_| true).unwrap(),
            listed
        );
        let behind = store.listed_ids(&part("", whole, 2), |_| true).unwrap();
        assert_eq!(behind, expected[77..79], "the slash is behind the id");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_come_page_by_page_as_s3_orders_them() {
    let home = Home::new().await;
    let store = home.store.clone();
    blocking(move || {
        let names = ["b", "a", "a-b", "a b", "a0", "é", "a.b"];
        for (name, number) in names.iter().zip(0..) {
            // Of some names there are several.
            for id in [id(number), id(number * 2 + 50)] {
                let key = [name.as_bytes(), NAME_END, id.hash().as_bytes()].concat();
                store.inner.index.put(Table::Names, &key, &[]).unwrap();
            }
        }
        let names_of = |part: Part<'_>| -> Vec<String> {
            let listed = store.listed_names(&part).unwrap().into_iter();
            listed.map(|(name, _)| name).collect()
        };
        let all = ["a b/", "a-b/", "a.b/", "a/", "a0/", "b/", "é/"];
        assert_eq!(names_of(part("", "", usize::MAX)), all);
        let mut after = String::new();
        for name in all {
            let page = store.listed_names(&part("", &after, 1)).unwrap();
            let [(listed, ids)] = page.as_slice() else {
                panic!("{page:?}");
            };
            assert_eq!((listed.as_str(), ids.len()), (name, 2));
            after.clone_from(listed);
        }
        assert_eq!(names_of(part("", &after, 1)), [""; 0]);
        assert_eq!(names_of(part("a", "a.", 4)), ["a.b/", "a/"]);
        assert_eq!(names_of(part("a", "A", 1)), ["a b/"]);
        assert_eq!(names_of(part("a", "b/", 9)), [""; 0]);
        assert_eq!(names_of(part("a/", "", 9)), ["a/"]);
    })
    .await;
}
