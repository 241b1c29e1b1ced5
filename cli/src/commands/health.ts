import http from 'node:http'
import https from 'node:https'
import { noDataFolder } from '@berth/server/base/data-folder.ts'
import type { Config } from '@berth/server/config/config.ts'
import { lastStartFile } from '@berth/server/start/last-start.ts'
import { type CommandDeclaration, CommandError, settingOptions } from '../command.ts'
import { configOfServer } from '../config.ts'

/** Less than what a container engine gives a health check. */
const timeoutMs = 5_000

export const health: CommandDeclaration = {
  name: 'health',
  summary: 'Ask the server of the data folder whether it is ready; the exit code tells (0 or 1).',
  options: settingOptions(['data', 'host', 'port', 'http', 'config']),
  async run(given) {
    const config = configOfServer(given)
    // Whoever names the port knows where the server is.
    const reason =
      given.options.port === undefined ? noDataFolder(config.dataFolder, lastStartFile(config.dataFolder)) : undefined
    if (reason !== undefined) throw new CommandError(reason)
    const url = readinessUrl(config)
    const { status, text } = await ask(url).catch((error: NodeJS.ErrnoException) => {
      throw new CommandError(`${url.host} does not answer (${error.code ?? error.message})`, 1, { cause: error })
    })
    console.log(text)
    return status === 200 ? 0 : 1
  },
}

/** As the machine that the server runs on reaches it. */
export function readinessUrl({ host, port, tls }: Pick<Config, 'host' | 'port' | 'tls'>): URL {
  const everywhere: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' }
  const address = everywhere[host] ?? host
  const authority = `${address.includes(':') ? `[${address}]` : address}:${port}`
  return new URL(`${tls.kind === 'none' ? 'http' : 'https'}://${authority}/readyz`)
}

function ask(url: URL): Promise<{ status: number | undefined; text: string }> {
  return new Promise((resolve, reject) => {
    // Nothing secret is sent, and whoever can answer in the server's place on this machine can do so with its certificate.
    const options = { agent: false, rejectUnauthorized: false }
    const request = (url.protocol === 'http:' ? http : https).get(url, options, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part
      })
      response.on('error', reject).on('end', () => resolve({ status: response.statusCode, text: text.trim() }))
    })
    // Of everything together: the connection, the handshake, the answer.
    const timer = setTimeout(() => request.destroy(new Error(`no answer within ${timeoutMs / 1000} s`)), timeoutMs)
    request.on('error', reject).on('close', () => clearTimeout(timer))
  })
}
