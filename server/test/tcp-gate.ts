/** A way to a server that a test can shut: between a client and a port of loopback, on a free port of its own. */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

export interface TcpGate extends AsyncDisposable {
  readonly port: number
  /** `open` passes everything on; `silent` takes everything and passes nothing on; `shut` cuts all and takes nobody in. */
  state: 'open' | 'silent' | 'shut'
  /** From the next request that holds the text on, the server still gets what is sent, but its answer is never seen. */
  loseAnswerTo(text: string): Promise<void>
}

export async function startTcpGate(serverPort: number): Promise<TcpGate> {
  let state: TcpGate['state'] = 'open'
  let losing: { readonly text: string; readonly lost: () => void } | undefined
  const sockets = new Set<Socket>()
  const cut = () => {
    for (const socket of sockets) socket.destroy()
  }
  const server = createServer((client) => {
    if (state === 'shut') return client.destroy()
    const upstream = connect(serverPort, '127.0.0.1')
    let lose: (() => void) | undefined
    for (const [socket, other] of [[client, upstream] as const, [upstream, client] as const]) {
      sockets.add(socket)
      socket.on('error', () => other.destroy())
      socket.on('close', () => {
        sockets.delete(socket)
        other.destroy()
      })
    }
    client.on('data', (bytes) => {
      if (state !== 'open') return
      if (losing !== undefined && bytes.includes(losing.text)) {
        lose = losing.lost
        losing = undefined
      }
      upstream.write(bytes)
    })
    upstream.on('data', (bytes) => {
      if (state !== 'open') return
      if (lose === undefined) return client.write(bytes)
      client.destroy()
      lose()
    })
    return undefined
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    get state() {
      return state
    },
    set state(next) {
      state = next
      if (next === 'shut') cut()
    },
    loseAnswerTo: (text) =>
      new Promise((resolve) => {
        losing = { text, lost: resolve }
      }),
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close')
      server.close()
      cut()
      await closed
    },
  }
}
