//! Footers of Parquet: any bytes are a bounded schema or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use opendag_protocol::schema::{FIELDS_MAX, Schema, parquet};

fuzz_target!(|footer: &[u8]| {
    if let Ok(schema) = parquet::schema(footer) {
        assert!(schema.count() <= FIELDS_MAX);
        let again = Schema::new(schema.fields().to_vec());
        assert_eq!(again.as_ref(), Ok(&schema), "it holds its own rules");
        // What follows the schema is not looked at.
        let longer = [footer, &[0xff; 16]].concat();
        assert_eq!(parquet::schema(&longer), Ok(schema));
    }
});
