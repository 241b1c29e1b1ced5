/** What a start prints: where the server is and what to type next. Every line works when it is pasted. */
import { resolve } from 'node:path'
import { isPlainDomain, withPort } from '../base/addresses.ts'
import { firstRegistry } from '../base/host-names.ts'
import type { Config } from '../config/config.ts'
import type { Bootstrap } from './bootstrap-file.ts'

export interface Greeting {
  readonly config: Config
  readonly bootstrapFile: string
  /** Absent where the operator has put the file away. */
  readonly bootstrap: Bootstrap | undefined
  readonly firstStart: boolean
  readonly milliseconds: number
}

export function greetingOf({ config, bootstrapFile, bootstrap, firstStart, milliseconds }: Greeting): string {
  const lines = [`Berth listens on ${listeningOn(config)} (ready after ${milliseconds} ms)`]
  if (bootstrap === undefined) return `${lines.join('\n')}\n`
  const server = dockerHost(config, bootstrap)
  const isDefaultFolder = config.dataFolder === resolve('data')
  const user = bootstrap.registry.username
  const data = isDefaultFolder ? '' : ` --data ${quoted(config.dataFolder)}`
  if (firstStart)
    lines.push(`First start: names, addresses and secrets are in ${bootstrapFile} (only you can read it).`)
  lines.push(
    '',
    'Try it:',
    `  ./berth password${data} | docker login ${server} -u ${user} --password-stdin`,
    `  printf 'FROM scratch\\nCOPY . /docs/\\n' | docker build -t ${server}/samples/docs:v1 -f - docs`,
    `  docker push ${server}/samples/docs:v1 && docker pull ${server}/samples/docs:v1`,
  )
  if (config.tls.kind === 'local-authority') {
    lines.push(
      '',
      `Clients trust ${bootstrap.caCertificate}; \`./berth trust${data}\` says how to put it where they look.`,
    )
  }
  lines.push('', 'Stop with Ctrl+C.')
  return `${lines.join('\n')}\n`
}

/** Docker trusts `localhost` without any setting; other names need the certificate. */
function dockerHost(config: Config, bootstrap: Bootstrap): string {
  return isPlainDomain(config.domain) ? withPort(config.domain, config.publicPort) : bootstrap.registry.loginServer
}

/** Where clients find it; under a domain of its own that is not where it listens. */
function listeningOn({ host, port, domain, publicPort, tls }: Config): string {
  const scheme = tls.kind === 'none' ? 'http' : 'https'
  if (!isPlainDomain(domain)) {
    const address = host.includes(':') ? `[${host}]` : host
    return `${address}:${port} as ${scheme}://${withPort(`${firstRegistry}.${domain}`, publicPort)}`
  }
  const name = host === '127.0.0.1' || host === '::1' ? 'localhost' : host.includes(':') ? `[${host}]` : host
  return `${scheme}://${name}:${port}`
}

const quoted = (path: string) => (/^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", `'\\''`)}'`)
