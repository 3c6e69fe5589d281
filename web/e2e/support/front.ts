// What may stand between a browser and the server: it hands on the connections of HTTP and of the socket, and can die and come back. Media does not go through it.
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";

export class Front {
  readonly url: string;
  #server: Server;
  #port: number;
  #target: number;
  #open = new Set<Socket>();

  private constructor(server: Server, target: number) {
    this.#server = server;
    this.#port = (server.address() as { port: number }).port;
    this.#target = target;
    this.url = `http://127.0.0.1:${this.#port}`;
    server.on("connection", (socket) => this.#carry(socket));
  }

  static async start(target: string): Promise<Front> {
    const server = createServer().listen(0, "127.0.0.1");
    await once(server, "listening");
    return new Front(server, Number(new URL(target).port));
  }

  /** Every connection breaks, and none is taken any more. */
  async die(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    for (const socket of this.#open) socket.resetAndDestroy();
    await closed;
  }

  async comeBack(): Promise<void> {
    this.#server.listen(this.#port, "127.0.0.1");
    await once(this.#server, "listening");
  }

  #carry(socket: Socket): void {
    const on = connect(this.#target, "127.0.0.1");
    for (const [end, other] of [
      [socket, on],
      [on, socket],
    ] as const) {
      this.#open.add(end);
      end.pipe(other);
      end.on("error", () => other.destroy());
      end.on("close", () => {
        this.#open.delete(end);
        other.destroy();
      });
    }
  }
}
