/** The program that the crowd meets, and the two ways to speak to it. */
import type { ClientRequest } from 'node:http'
import http from 'node:http'
import https from 'node:https'
import { connect as connectPlain, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'

export interface Target {
  readonly port: number
  /** `localhost:<port>`. */
  readonly host: string
  readonly authorization: string
  /** PEM of the authority that signed the server's certificate. */
  readonly ca: string
}

export type Wire = 'plain' | 'tls'

/** Resolves when the connection stands; over TLS, after the handshake. */
export function openSocket({ port, ca }: Target, wire: Wire): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket =
      wire === 'plain'
        ? connectPlain({ host: '127.0.0.1', port })
        : connectTls({ host: '127.0.0.1', port, ca, servername: 'localhost' })
    socket.once('error', reject)
    socket.once(wire === 'plain' ? 'connect' : 'secureConnect', () => {
      socket.removeListener('error', reject)
      socket.on('error', () => undefined) // a reset is an end like another; "close" follows
      resolve(socket)
    })
  })
}

/** A request on a connection of its own, whose body and answer the caller paces. */
export function openRequest(
  target: Target,
  wire: Wire,
  method: string,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): ClientRequest {
  const { port, host, authorization, ca } = target
  const options = { agent: false, host: '127.0.0.1', port, method, path, headers: { host, authorization, ...headers } }
  return wire === 'plain' ? http.request(options) : https.request({ ...options, ca, servername: 'localhost' })
}
