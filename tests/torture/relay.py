"""What stands between clients and the server where the driver can't have a network of its own: a relay whose line can be cut. Bytes that
are under way then wait, as they do in a network that loses everything and sends again."""
import contextlib
import socket
import threading

PIECE = 1 << 16


class Relay:
    def __init__(self, server_port):
        self.server_port, self.open_line = server_port, threading.Event()
        self.open_line.set()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def cut(self, is_cut):
        if is_cut:
            self.open_line.clear()
        else:
            self.open_line.set()

    def accept(self):
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self.connect, args=(client,), daemon=True).start()

    def connect(self, client):
        self.open_line.wait()
        try:
            server = socket.create_connection(("127.0.0.1", self.server_port))
        except OSError:
            client.close()  # to the client a connection that breaks at once
            return
        back = threading.Thread(target=self.pump, args=(server, client), daemon=True)
        back.start()
        self.pump(client, server)
        back.join()
        client.close()
        server.close()

    def pump(self, source, sink):
        """Until the source ends; then the sink hears of it. A sink that is gone ends the source."""
        with contextlib.suppress(OSError):
            while piece := source.recv(PIECE):
                self.open_line.wait()
                sink.sendall(piece)
        self.open_line.wait()
        for end, how in ((sink, socket.SHUT_WR), (source, socket.SHUT_RD)):
            with contextlib.suppress(OSError):
                end.shutdown(how)
