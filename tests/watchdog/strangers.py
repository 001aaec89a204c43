"""Others on the watchdog's socket: raw connections, messages byte by byte, a shim that is not ours."""
import struct
import subprocess

HELLO, TERMINATING, SILENT, DEADLINE, TAIL, EXIT, ACK, FLUSH, LEAVING = 1, 4, 5, 6, 7, 8, 9, 10, 11
WELCOME, REFUSED = 2, 3


def connect(pod):
    """A raw connection into the pod's namespace, from a process of its own."""
    script = ("import socket,sys,os\n"
              "s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
              "s.connect('\\0lastword')\n"
              "print('connected', flush=True)\n"
              "while True:\n"
              "    n = sys.stdin.buffer.read(4)\n"
              "    if len(n) < 4: break\n"
              "    data = sys.stdin.buffer.read(int.from_bytes(n, 'big'))\n"
              "    try: s.send(data)\n"
              "    except BrokenPipeError: break\n"
              "s.settimeout(5)\n"
              "try:\n"
              "    while d := s.recv(4096): print('got', d[6] | d[7] << 8, flush=True)\n"
              "    print('closed', flush=True)\n"
              "except TimeoutError: print('nothing', flush=True)\n"
              "except ConnectionError: print('closed', flush=True)\n")
    process = pod.start(("/usr/bin/python3", "-c", script), user=4000, stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"connected\n"
    return process


def message(kind, name=b"main", magic=0x31775761, layout=1, **fields):
    """As version 1 of the protocol sends it; version=2: as version 2 does."""
    values = {"pid": 1, "ended": 0, "exit_code": 0, "signal": 0, "killed_by_us": 0, "version": 0,
              "started_at": 0, "finished_at": 0, "duration": 0, "max_rss": 0, "cpu": 0,
              "oom_kills": 0, "total": 0, **fields}
    return struct.pack("=IHH64s6i6qQ", magic, layout, kind, name, *values.values())


def say(process, *messages, finish=True):
    for data in messages:
        process.stdin.write(len(data).to_bytes(4, "big") + data)
        process.stdin.flush()
    if finish:
        process.stdin.close()
        process.stdin = None


def hostile_ring(pod, script):
    """A shim that is not ours: greets, maps the ring, lets the script loose on it."""
    return pod.start(("/usr/bin/python3", "-c",
                      "import array,mmap,os,socket,struct,sys,time,random,fcntl\n"
                      f"hello = {message(HELLO)!r}\n"
                      "s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)\n"
                      "s.connect('\\0lastword'); s.send(hello)\n"
                      "data, control, _, _ = s.recvmsg(4096, socket.CMSG_SPACE(4))\n"
                      "fd = array.array('i', control[0][2])[0]\n"
                      "size = os.fstat(fd).st_size\n"
                      "m = mmap.mmap(fd, size)\n" + script), user=4000, stdout=subprocess.PIPE)
