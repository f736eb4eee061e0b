//! From text to native keys, as Qt derives and prints them.
//!
//! Of upstream's tests of `QNativeIpcKey`: the default types and their numbers are
//! `types_have_the_numbers_of_qt`, the printed form both ways is `printed_keys` and
//! `a_thousand_keys`, equality is `a_remembered_text_counts`. Making, copying, moving, setting,
//! swapping and hashing have no counterpart: a key is a plain value, whose language does these.

use sharehold::qt::{KeyType, NativeIpcKey, Options};

use crate::world::{Kind, hex, unhex, world_tests};

/// Key, its letters, its SHA-1: observed with six versions of Qt.
const VECTORS: &[(&str, &str, &str)] = &[
    ("a", "a", "86f7e437faa5a7fce15d1ddcb9eaeaea377667b8"),
    ("A1", "A", "1ffd4ba3eb9ffadf4db3c3ff4c1bbcf94a64cc59"),
    ("42", "", "92cfceb39d57d914ed8b14d0e37643de0797ae56"),
    ("Qt", "Qt", "fbeba94c4e9b16a43991c5615fab8c4406d33231"),
    ("key", "key", "a62f2225bf70bfaccbc7f1ef2a397836717377de"),
    ("key1", "key", "1073ab6cda4b991cd29f9e83a307f34004ae9327"),
    (
        "hello world",
        "helloworld",
        "2aae6c35c94fcfb415dbe95f408b9ce91ee846ed",
    ),
    (
        "key with spaces 123",
        "keywithspaces",
        "ee893a2a1450187642e7a67790bd933098ce3f3a",
    ),
    (
        "../../etc/passwd",
        "etcpasswd",
        "936d7c04cd83ef945f6eac2c4d41e65deb49ce43",
    ),
    (
        "single-instance-{6f1b}",
        "singleinstancefb",
        "00207c24157e8ba0d2a631f43cb5c26567fac567",
    ),
    (
        "No\u{eb}l",
        "Nol",
        "f74a492d6bd59d7591144462d27aa3e29d1701c1",
    ),
    ("Nol", "Nol", "48ec124f85b2a18e06f1729acc335f760d458771"),
    ("日本語", "", "c12140a0ffb4e56481b4fe0a7a25040c2eafa9ca"),
    ("😀", "", "9c533688a979a858cbd6a43c9f91aba624651f18"),
    ("\u{e9}", "", "bf15be717ac1b080b4f1c456692825891ff5073d"),
    ("\t", "", "ac9231da4082430afe8f4d40127814c613648d8e"),
];

#[test]
fn every_vector() {
    let longest = ["x".repeat(197), "x".repeat(200)];
    let long = [
        (
            &*longest[0],
            &*longest[0],
            "55f17d5b29dae8187139f6ace744be59190cb386",
        ),
        (
            &*longest[1],
            &*longest[1],
            "94218caae9904e93a3d7bf578bf4791926fc5e82",
        ),
    ];
    for (key, letters, sha1) in VECTORS.iter().chain(&long) {
        let system_v = KeyType::SYSTEM_V;
        let memory = NativeIpcKey::for_memory(key, system_v, "/tmp");
        assert_eq!(
            memory.native_key(),
            format!("/tmp/qipc_sharedmemory_{letters}{sha1}")
        );
        let semaphore = NativeIpcKey::for_semaphore(key, system_v, "/tmp/");
        assert_eq!(
            semaphore.native_key(),
            format!("/tmp/qipc_systemsem_{letters}{sha1}")
        );
        let memory = NativeIpcKey::for_memory(key, KeyType::Posix, "/tmp");
        assert_eq!(
            memory.native_key(),
            format!("/qipc_sharedmemory_{letters}{sha1}")
        );
        let semaphore = NativeIpcKey::for_semaphore(key, KeyType::Posix, "/tmp");
        assert_eq!(
            semaphore.native_key(),
            format!("/qipc_systemsem_{letters}{sha1}")
        );
        let memory = NativeIpcKey::for_memory(key, KeyType::Windows, "/tmp");
        assert_eq!(
            memory.native_key(),
            format!("qipc_sharedmemory_{letters}{sha1}")
        );
    }
}

#[test]
fn an_empty_key_names_nothing() {
    for key_type in [KeyType::SYSTEM_V, KeyType::Posix, KeyType::Windows] {
        let key = NativeIpcKey::for_memory("", key_type, "/tmp");
        assert!(key.is_empty());
        assert_eq!(key.text_key(), None);
    }
}

#[test]
fn a_remembered_text_counts() {
    for key_type in [KeyType::SYSTEM_V, KeyType::Posix] {
        let with = NativeIpcKey::for_memory("text", key_type, "/tmp");
        let without = NativeIpcKey::new(with.native_key(), key_type);
        assert_eq!(with, NativeIpcKey::for_memory("text", key_type, "/tmp"));
        assert_ne!(with, without);
        assert_ne!(
            without,
            NativeIpcKey::new(with.native_key(), KeyType::Windows)
        );
        for key in [with, without] {
            assert_eq!(key.to_string().parse::<NativeIpcKey>().unwrap(), key);
        }
    }
}

#[test]
fn types_have_the_numbers_of_qt() {
    assert_eq!(KeyType::SYSTEM_V.number(), 0x51);
    assert_eq!(KeyType::Posix.number(), 0x100);
    assert_eq!(KeyType::Windows.number(), 0x101);
    for number in (1..=255).chain([0x100, 0x101]) {
        assert_eq!(
            KeyType::from_number(number).map(KeyType::number),
            Some(number)
        );
    }
    assert_eq!(KeyType::from_number(0), None);
    assert_eq!(KeyType::from_number(0x102), None);
}

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: u32) -> u32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        u32::try_from(self.0 >> 40).expect("24 bits are left") % end
    }

    /// A key of up to 40 characters, from letters to anything that Unicode has.
    fn key(&mut self) -> String {
        let length = 1 + self.below(40);
        (0..length).map(|_| self.character()).collect()
    }

    fn character(&mut self) -> char {
        let code = match self.below(6) {
            0 | 1 => self.below(26) + u32::from(b'a') - 32 * self.below(2),
            2 => self.below(0x80),
            3 => 0x80 + self.below(0x780),
            4 => self.below(0x1_0000),
            _ => 0x1_0000 + self.below(0x10_0000),
        };
        // Surrogates are no characters.
        char::from_u32(code).unwrap_or('Ａ')
    }
}

world_tests! {
    /// A thousand keys, by every Qt that runs: memory and semaphore, System V and POSIX where it
    /// can be asked.
    fn a_thousand_keys(world) {
        let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
        let keys: Vec<String> = (0..1000).map(|_| numbers.key()).collect();
        for kind in Kind::QT {
            let mut peer = world.peer(kind);
            peer.open("x");
            for key in &keys {
                let ours = Options::new().shared_memory(key);
                let theirs = peer.tell(&format!("setkey m {}", hex(key)));
                assert_eq!(ours.native_key().native_key(), theirs, "{kind:?}: {key:?}");
            }
        }
        let mut newest = world.peer(Kind::NewestPySide);
        let directory = world.directory().to_str().unwrap();
        for key in &keys {
            for key_type in [KeyType::SYSTEM_V, KeyType::Posix] {
                let memory = NativeIpcKey::for_memory(key, key_type, directory);
                let semaphore = NativeIpcKey::for_semaphore(key, key_type, directory);
                for (object, ours) in [("memory", memory), ("semaphore", semaphore)] {
                    let theirs = newest.tell(&format!("legacykey {object} {} {}", hex(key), key_type.number()));
                    let theirs = String::from_utf8(unhex(&theirs)).unwrap();
                    assert_eq!(theirs.parse::<NativeIpcKey>().unwrap(), ours, "{key:?}");
                    if key.is_ascii() {
                        assert_eq!(ours.to_string(), theirs, "{key:?}");
                    }
                    let reread = newest.tell(&format!("reread - {}", hex(ours.to_string())));
                    assert_eq!(reread, hex(theirs), "{key:?}");
                }
            }
        }
    }

    /// The printed form, against the newest Qt: what it accepts, refuses, and prints again.
    fn printed_keys(world) {
        const PRINTED: &[&str] = &[
            "systemv:", "posix:", "windows:", "systemv:a", "SystemV:a", "posix:a b", "posix:a:b", "windows:Global\\x",
            "systemv-1:a", "systemv-084:a", "systemv-255:a", "systemv-81:a", "systemv-256:a", "systemv-0:a", "systemv-:a",
            "systemv-+1:a", "systemv--1:a", "foo:a", "a", "", ":", "systemv:/a?legacyKey=x", "systemv:/a?legacyKey=x&legacyKey=y",
            "systemv:/a?x=1", "systemv:/a?legacyKey=x&b=2", "systemv:/a?", "systemv:/a?legacyKey", "systemv:/a#frag",
            "systemv:/a?legacyKey=x#frag", "systemv:%2Fa%41", "systemv:a%zz", "systemv:a%2", "systemv://host/a",
            "systemv:///a", "systemv:////a", "posix:/a%FF", "posix:/a%00b", "systemv:/%2Fa", "posix:%", "posix:/a%25b",
            "posix:/a?legacyKey=a%26b%3Dc%2Bd+e", "posix:/a?legacyKey=a=b", "posix:/a/../b", "posix:/a?legacyKey=x;y=z",
            "systemv-81:/a%3Fb%23c", "posix:/%C3%A4", "posix:/ä日", "posix:/a?legacyKey=%C3%A4%E6%97%A5",
        ];
        let mut newest = world.peer(Kind::NewestPySide);
        for printed in PRINTED {
            let theirs = newest.tell(&format!("reread - {}", hex(printed)));
            let ours = match printed.parse::<NativeIpcKey>() {
                Ok(key) => hex(key.to_string()),
                Err(_) => "invalid".to_owned(),
            };
            assert_eq!(ours, theirs, "{printed}");
        }
    }

    /// A memory object that was given a text key says the printed form, and it is ours.
    fn native_key_of_an_object(world) {
        let mut newest = world.peer(Kind::NewestPySide);
        newest.open("hello world");
        let ours = Options::new().shared_memory("hello world");
        assert_eq!(newest.tell("ipckey m"), hex(ours.native_key().to_string()));
        assert_eq!(ours.key(), Some("hello world"));
    }

    /// A directory with a slash at its end, or reached by a link, leads to the same objects.
    fn temporary_directories(world) {
        let link = world.directory().join("link");
        std::os::unix::fs::symlink(world.directory(), &link).unwrap();
        let key = world.key("linked");
        for kind in Kind::QT {
            let mut memory = Options::new().temp_dir(&link).shared_memory(&key);
            memory.create(8).unwrap();
            let mut peer = world.peer(kind);
            peer.open(&key);
            peer.tell("attach m");
            peer.tell("detach m");
        }
        std::fs::remove_file(link).unwrap();
    }
}
