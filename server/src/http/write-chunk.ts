/** Chunks of an answer, on both transports. */
import type { Writable } from 'node:stream'

export const clientGone = () => new Error('the client closed the connection')

/** Resolves when the socket has taken the bytes, so that their buffer may be used again; rejects when the client has gone. */
export function writeChunk(client: Writable, chunk: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    if (client.destroyed) {
      reject(clientGone())
      return
    }
    const closed = () => reject(clientGone())
    client.once('close', closed)
    client.write(chunk, (error) => {
      client.off('close', closed)
      if (error) reject(error)
      else resolve()
    })
  })
}
