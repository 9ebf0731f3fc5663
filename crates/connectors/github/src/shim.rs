use serde::{Deserialize, Deserializer, de::DeserializeOwned};
#[derive(Debug)]
pub(crate) struct Rows<T> {
    pub items: Vec<T>,
    pub broken: usize,
    pub first_error: Option<String>,
}
impl<'de, T: DeserializeOwned> Deserialize<'de> for Rows<T> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Ok(Self { items: Vec::<T>::deserialize(d)?, broken: 0, first_error: None })
    }
}
pub(crate) fn lenient_string<'de, D: Deserializer<'de>>(d: D) -> Result<Option<String>, D::Error> {
    Option::deserialize(d)
}
pub(crate) fn lenient_u64<'de, D: Deserializer<'de>>(d: D) -> Result<Option<u64>, D::Error> {
    Option::deserialize(d)
}
pub(crate) fn lenient_time<'de, D: Deserializer<'de>>(d: D) -> Result<Option<domain::Timestamp>, D::Error> {
    Ok(Option::<String>::deserialize(d)?.and_then(|s| s.parse().ok()))
}
