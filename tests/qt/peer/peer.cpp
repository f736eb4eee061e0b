// A Qt program that does what it is told, one command a line, and answers every command with one line:
// "= ANSWER", or "! CODE TEXT" with Qt's error. Builds with Qt 5 and Qt 6. Texts travel as the hex of their UTF-8.

#include <QtCore/QByteArray>
#include <QtCore/QSharedMemory>
#include <QtCore/QString>
#include <QtCore/QSystemSemaphore>

#include <cstring>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <string>

#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <unistd.h>

namespace {

QString text(const std::string &hex)
{
    const QByteArray bytes = QByteArray::fromHex(QByteArray::fromStdString(hex));
    return QString::fromUtf8(bytes.constData(), bytes.size()); // Qt 5 would end at a zero without the size
}

std::string said(const QString &text) { return text.toUtf8().toStdString(); }

template <class T>
void answer(const T &value) { std::cout << "= " << value << std::endl; }

template <class Object>
void refuse(const Object &object)
{
    std::cout << "! " << int(object.error()) << ' ' << said(object.errorString()) << std::endl;
}

template <class Object>
void report(bool done, const Object &object)
{
    if (done)
        answer("ok");
    else
        refuse(object);
}

QSharedMemory::AccessMode access(std::istream &in)
{
    std::string mode;
    in >> mode;
    return mode == "ro" ? QSharedMemory::ReadOnly : QSharedMemory::ReadWrite;
}

// A segment, or a semaphore of value 1, of any mode, as a program that is neither Qt's nor ours might make it.
void makeForeign(const std::string &kind, std::istream &in)
{
    std::string path;
    int size = 0, mode = 0;
    in >> path >> size >> std::oct >> mode >> std::dec;
    const key_t key = ftok(path.c_str(), 'Q');
    const int flags = mode | IPC_CREAT | IPC_EXCL;
    int done = -1;
    if (kind == "shm") {
        done = shmget(key, size, flags);
    } else if (kind == "sem") {
        done = semget(key, 1, flags);
        if (done != -1 && size)
            semctl(done, 0, SETVAL, 1);
    }
    if (done == -1)
        std::cout << "! 0 " << std::strerror(errno) << std::endl;
    else
        answer(done);
}

class Peer
{
public:
    bool obey(const std::string &line)
    {
        std::istringstream in(line);
        std::string command, name;
        in >> command >> name;
        if (command == "exit")
            return false;
        if (command == "pid")
            answer(getpid());
        else if (command == "version")
            answer(qVersion());
        else if (command == "foreign")
            makeForeign(name, in);
        else if (command == "new" || command == "native")
            make(command, name, in);
        else if (command == "delete")
            answer(memories.erase(name) + semaphores.erase(name));
        else if (command == "semaphore")
            makeSemaphore(name, in);
        else if (semaphores.count(name))
            obey(command, *semaphores[name], in);
        else if (memories.count(name))
            obey(command, *memories[name], in);
        else
            std::cout << "! 0 no such object or command: " << line << std::endl;
        return true;
    }

private:
    void make(const std::string &command, const std::string &name, std::istream &in)
    {
        std::string key;
        in >> key;
        if (command == "new") {
            memories[name] = std::make_unique<QSharedMemory>(text(key));
        } else {
            memories[name] = std::make_unique<QSharedMemory>();
            memories[name]->setNativeKey(text(key));
        }
        answer("ok");
    }

    void makeSemaphore(const std::string &name, std::istream &in)
    {
        std::string key, mode;
        int initial = 0;
        in >> key >> initial >> mode;
        const auto access = mode == "create" ? QSystemSemaphore::Create : QSystemSemaphore::Open;
        semaphores[name] = std::make_unique<QSystemSemaphore>(text(key), initial, access);
        report(semaphores[name]->error() == QSystemSemaphore::NoError, *semaphores[name]);
    }

    static void obey(const std::string &command, QSystemSemaphore &semaphore, std::istream &in)
    {
        if (command == "acquire") {
            report(semaphore.acquire(), semaphore);
        } else if (command == "release") {
            int number = 1;
            in >> number;
            report(semaphore.release(number), semaphore);
        }
    }

    static void obey(const std::string &command, QSharedMemory &memory, std::istream &in)
    {
        if (command == "create") {
            int size = 0;
            in >> size;
            report(memory.create(size, access(in)), memory);
        } else if (command == "attach") {
            report(memory.attach(access(in)), memory);
        } else if (command == "detach") {
            report(memory.detach(), memory);
        } else if (command == "lock") {
            report(memory.lock(), memory);
        } else if (command == "unlock") {
            report(memory.unlock(), memory);
        } else if (command == "size") {
            answer(memory.size());
        } else if (command == "attached") {
            answer(memory.isAttached() ? "yes" : "no");
        } else if (command == "nativekey") {
            answer(said(memory.nativeKey()));
        } else if (command == "setkey") {
            std::string key;
            in >> key;
            memory.setKey(text(key));
            answer(said(memory.nativeKey()));
        } else if (command == "read") {
            int offset = 0, length = 0;
            in >> offset >> length;
            const auto *bytes = static_cast<const char *>(memory.constData()) + offset;
            answer(QByteArray(bytes, length).toHex().toStdString());
        } else if (command == "write") {
            int offset = 0;
            std::string hex;
            in >> offset >> hex;
            const QByteArray bytes = QByteArray::fromHex(QByteArray::fromStdString(hex));
            std::memcpy(static_cast<char *>(memory.data()) + offset, bytes.constData(), bytes.size());
            answer("ok");
        } else if (command == "count") {
            count(memory, in);
        }
    }

    // Adds one to the first integer, under the lock, so many times.
    static void count(QSharedMemory &memory, std::istream &in)
    {
        int times = 0;
        in >> times;
        auto *value = static_cast<volatile int *>(memory.data());
        for (int i = 0; i < times; ++i) {
            if (!memory.lock())
                return refuse(memory);
            *value = *value + 1;
            if (!memory.unlock())
                return refuse(memory);
        }
        answer(times);
    }

    std::map<std::string, std::unique_ptr<QSharedMemory>> memories;
    std::map<std::string, std::unique_ptr<QSystemSemaphore>> semaphores;
};

} // namespace

int main()
{
    Peer peer;
    std::string line;
    while (std::getline(std::cin, line) && peer.obey(line)) { }
    return 0;
}
