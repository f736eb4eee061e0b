"""The same as peer.cpp, for a Qt that comes as a Python package; native keys have a type here where Qt has types."""

import sys

from PySide6 import QtCore
from PySide6.QtCore import QSharedMemory, QSystemSemaphore

typed = hasattr(QtCore, "QNativeIpcKey")
objects = {}


def text(hexadecimal=""):
    return bytes.fromhex(hexadecimal).decode()


def answer(value):
    print("=", value, flush=True)


def code(error):
    return error.value if hasattr(error, "value") else int(error)


def report(done, thing):
    if done:
        answer("ok")
    else:
        print("!", code(thing.error()), thing.errorString(), flush=True)


def access(mode="rw"):
    ro = mode == "ro"
    return QSharedMemory.AccessMode.ReadOnly if ro else QSharedMemory.AccessMode.ReadWrite


def make(name, key=""):
    objects[name] = QSharedMemory(text(key))
    answer("ok")


def make_native(name, key, printed=False):
    """With a third word, the key is in the printed form of a QNativeIpcKey."""
    memory = QSharedMemory()
    if printed:
        memory.setNativeKey(QtCore.QNativeIpcKey.fromString(text(key)))
    elif typed:
        memory.setNativeKey(text(key), QtCore.QNativeIpcKey.Type.SystemV)
    else:
        memory.setNativeKey(text(key))
    objects[name] = memory
    answer("ok")


def make_semaphore(name, key, initial, mode="open"):
    create = mode == "create"
    modes = QSystemSemaphore.AccessMode
    semaphore = QSystemSemaphore(text(key), int(initial), modes.Create if create else modes.Open)
    objects[name] = semaphore
    report(code(semaphore.error()) == 0, semaphore)


def reread(_, printed=""):
    """Says what Qt makes of a printed native key."""
    key = QtCore.QNativeIpcKey.fromString(text(printed))
    answer(key.toString().encode().hex() if key.isValid() else "invalid")


def ipc_key(name):
    answer(objects[name].nativeIpcKey().toString().encode().hex())


def read(name, offset, length):
    offset, length = int(offset), int(length)
    answer(bytes(objects[name].data()[offset : offset + length]).hex())


def write(name, offset, hexadecimal):
    offset, data = int(offset), bytes.fromhex(hexadecimal)
    objects[name].data()[offset : offset + len(data)] = data
    answer("ok")


def set_key(name, key=""):
    objects[name].setKey(text(key))
    answer(objects[name].nativeKey())


def legacy_key(kind, key, number):
    """The native key of a text, for either kind of object and any type, printed."""
    owner = QSharedMemory if kind == "memory" else QSystemSemaphore
    key_type = QtCore.QNativeIpcKey.Type(int(number))
    answer(owner.legacyNativeKey(text(key), key_type).toString().encode().hex())


def delete(name):
    del objects[name]
    answer(1)


commands = {
    "pid": lambda *_: answer(__import__("os").getpid()),
    "version": lambda *_: answer(QtCore.qVersion()),
    "new": make,
    "native": make_native,
    "semaphore": make_semaphore,
    "delete": delete,
    "create": lambda name, size, *mode: report(objects[name].create(int(size), access(*mode)), objects[name]),
    "attach": lambda name, *mode: report(objects[name].attach(access(*mode)), objects[name]),
    "detach": lambda name: report(objects[name].detach(), objects[name]),
    "lock": lambda name: report(objects[name].lock(), objects[name]),
    "unlock": lambda name: report(objects[name].unlock(), objects[name]),
    "acquire": lambda name: report(objects[name].acquire(), objects[name]),
    "release": lambda name, number=1: report(objects[name].release(int(number)), objects[name]),
    "size": lambda name: answer(objects[name].size()),
    "attached": lambda name: answer("yes" if objects[name].isAttached() else "no"),
    "nativekey": lambda name: answer(objects[name].nativeKey()),
    "setkey": set_key,
    "ipckey": ipc_key,
    "legacykey": legacy_key,
    "reread": reread,
    "read": read,
    "write": write,
}

for line in sys.stdin:
    command, *words = line.split()
    if command == "exit":
        break
    commands[command](*words)

# Qt's destructors run now, while the interpreter is whole.
objects.clear()
