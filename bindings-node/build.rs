//! Links the addon so that Node can load it, and so that it stays.

fn main() {
    napi_build::setup();
    // A worker thread that ends unloads what only it has loaded, while destructors of that thread still lead into it.
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    }
}
