/**
 * The settings of `berth start`, declared once: the command line's flags, the variables, the keys of the configuration
 * file and the documentation all come from this table. What a flag is called, the file's key is called too.
 */
import { isIP, isIPv6 } from 'node:net'
import { availableParallelism } from 'node:os'
import ipaddr from 'ipaddr.js'
import { z } from 'zod'
import { parseBlobsUrl } from './blobs-url.ts'
import { parseDatabaseUrl } from './database-url.ts'
import { parseDuration } from './duration.ts'
import { type SettingName, variables } from './env.ts'

export interface Setting<T> {
  /** What follows the flag: `<number>`; `[yes|no]` for one that may stand alone. */
  readonly argument: string
  readonly description: string
  /** The default in words; the value is the schema's. */
  readonly defaultText: string
  /** From a flag's or variable's text, or from whatever YAML made of it, to the value. */
  readonly schema: z.ZodType<T>
}

const setting = <T>(declaration: Setting<T>): Setting<T> => declaration

/** A whole number, also as text. */
function integer(least: number, most: number) {
  const message = `must be a whole number from ${least} to ${most}`
  return z
    .union(
      [
        z.number(),
        z
          .string()
          .regex(/^\d{1,9}$/)
          .transform(Number),
      ],
      { error: message },
    )
    .refine((value) => Number.isInteger(value) && value >= least && value <= most, { error: message })
}

/** Milliseconds. least: as it is written. */
const duration = (least: string) => durationOr(least, [])

/** Milliseconds, or `off`. */
const durationOrOff = (least: string) => durationOr(least, ['off'])

function durationOr<const Words extends readonly string[]>(least: string, words: Words) {
  const leastMs = parseDuration(least) ?? 0
  const bound = leastMs > 0 ? ` of ${least} or more` : ''
  const message = [`must be a duration${bound} such as 30s, 10m, 24h or 7d`, ...words].join(', or ')
  return z.string({ error: message }).transform((value, context): number | Words[number] => {
    if (words.includes(value)) return value
    const ms = parseDuration(value)
    if (ms !== undefined && ms >= leastMs) return ms
    context.addIssue({ code: 'custom', message })
    return z.NEVER
  })
}

function text(message: string, test: (value: string) => boolean) {
  return z.string({ error: message }).refine(test, { error: message })
}

function choice<const Names extends readonly [string, ...string[]]>(names: Names) {
  return z.enum(names, { error: `must be one of ${names.join(', ')}` })
}

/** A path; relative ones are resolved by the loader, which knows where they were written. */
const path = text('must be a path', (value) => value !== '')

const switchWords: Readonly<Record<string, boolean>> = {
  true: true,
  yes: true,
  1: true,
  false: false,
  no: false,
  0: false,
}

const yesOrNo = z.union(
  [
    z.boolean(),
    z
      .string()
      .refine((word) => Object.hasOwn(switchWords, word))
      .transform((word) => switchWords[word] === true),
  ],
  { error: 'must be yes or no' },
)

/** parse: answers with a mistake as text. */
function url<T extends object>(parse: (text: string) => T | string) {
  return z.string({ error: 'must be a URL' }).transform((value, context) => {
    const parsed = parse(value)
    if (typeof parsed !== 'string') return parsed
    context.addIssue({ code: 'custom', message: parsed })
    return z.NEVER
  })
}

const label = /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/

/** At most 180 characters, so that `<registry>.<region>.data.` fits before it. */
function isDomainName(name: string): boolean {
  return name.length <= 180 && isIP(name) === 0 && name.split('.').every((part) => label.test(part))
}

const domainMessage = 'must be a domain name, with a port or without: localhost, registry.example.com:443'

const domain = z
  .string({ error: domainMessage })
  .toLowerCase()
  .transform((value, context) => {
    const [name = '', port, ...rest] = value.split(':')
    const publicPort = port === undefined ? undefined : Number(port)
    const goodPort = port === undefined || (/^\d{1,5}$/.test(port) && Number(port) >= 1 && Number(port) <= 65535)
    if (!isDomainName(name) || !goodPort || rest.length > 0) {
      context.addIssue({ code: 'custom', message: domainMessage })
      return z.NEVER
    }
    return { name, publicPort }
  })

const host = z
  .string({ error: 'must be an address or a host name' })
  .transform((value) => value.toLowerCase().replace(/^\[(.*)\]$/, '$1'))
  .refine((value) => isIP(value) !== 0 || isDomainName(value), { error: 'must be an address or a host name' })

function isNetwork(value: string): boolean {
  const [address = '', prefix, ...rest] = value.split('/')
  if (isIP(address) === 0 || rest.length > 0) return false
  if (prefix === undefined) return true
  return /^\d{1,3}$/.test(prefix) && (isIPv6(address) ? ipaddr.IPv6 : ipaddr.IPv4).isValidCIDR(value)
}

const networks = z
  .union([z.string().transform((value) => value.split(',')), z.array(z.string())], {
    error: 'must be addresses or networks, separated by commas',
  })
  .transform((values, context) => {
    const trimmed = values.map((value) => value.trim()).filter((value) => value !== '')
    for (const value of trimmed) {
      if (isNetwork(value)) continue
      context.addIssue({
        code: 'custom',
        message: `${JSON.stringify(value)} is neither an address nor a network (10.0.0.0/8)`,
      })
    }
    return trimmed
  })

const mostWorkers = 64

export const settings = {
  port: setting({
    argument: '<number>',
    description: 'The port to listen on; 0 takes any free one.',
    defaultText: '8443',
    schema: integer(0, 65535).default(8443),
  }),
  host: setting({
    argument: '<address>',
    description: 'The address to listen on; 127.0.0.1 includes ::1, 0.0.0.0 and :: are every address.',
    defaultText: '127.0.0.1',
    schema: host.default('127.0.0.1'),
  }),
  domain: setting({
    argument: '<name[:port]>',
    description: 'The parent domain of the registries, with the port that clients see when it is another one.',
    defaultText: 'localhost',
    schema: domain.default({ name: 'localhost', publicPort: undefined }),
  }),
  data: setting({
    argument: '<folder>',
    description: 'Where everything is kept.',
    defaultText: './data',
    schema: path.default('data'),
  }),
  database: setting({
    argument: '<url>',
    description:
      'A PostgreSQL database, postgres://user@host:5432/name?sslmode=verify-full, which several nodes may share.',
    defaultText: 'SQLite in the data folder',
    schema: url(parseDatabaseUrl).optional(),
  }),
  'secret-key': setting({
    argument: '<file>',
    description: 'The secret that seals secrets in the database; nodes on one database need the same one.',
    defaultText: 'secret.key in the data folder',
    schema: path.optional(),
  }),
  blobs: setting({
    argument: '<url>',
    description:
      'An object store for blobs, which several nodes may share: s3://bucket/prefix or azure-blob://account/container/prefix.',
    defaultText: 'a folder in the data folder',
    schema: url(parseBlobsUrl).optional(),
  }),
  'blob-redirects': setting({
    argument: '[yes|no]',
    description:
      'Send clients to the object store for downloads, with a signed link, in place of passing the bytes on.',
    defaultText: 'yes',
    schema: yesOrNo.default(true),
  }),
  'tls-cert': setting({
    argument: '<file>',
    description: "The server's certificate chain (PEM), in place of the local authority's; read again when it changes.",
    defaultText: 'none',
    schema: path.optional(),
  }),
  'tls-key': setting({
    argument: '<file>',
    description: "The certificate's private key (PEM).",
    defaultText: 'none',
    schema: path.optional(),
  }),
  http: setting({
    argument: '[yes|no]',
    description: 'Serve plain HTTP only, behind a proxy that ends TLS.',
    defaultText: 'no',
    schema: yesOrNo.default(false),
  }),
  workers: setting({
    argument: '<number>',
    description: 'Processes that share the port.',
    defaultText: 'the number of processor cores',
    schema: integer(1, mostWorkers).default(() => Math.min(availableParallelism(), mostWorkers)),
  }),
  'drain-seconds': setting({
    argument: '<number>',
    description: 'How long running requests may go on after a signal to stop.',
    defaultText: '20',
    schema: integer(0, 86_400).default(20),
  }),
  config: setting({
    argument: '<file>',
    description:
      'A YAML file with any of these settings, by the name of their flag; its relative paths start at its folder.',
    defaultText: 'none',
    schema: path.optional(),
  }),
  'trusted-proxies': setting({
    argument: '<list>',
    description: 'Addresses and networks (CIDR), separated by commas, whose X-Forwarded-… headers are believed.',
    defaultText: 'none',
    schema: networks.default([]),
  }),
  'gc-interval': setting({
    argument: '<duration>',
    description: 'How often garbage collection looks for what may go; off for never.',
    defaultText: '10m',
    schema: durationOrOff('1s').default(10 * 60_000),
  }),
  'gc-grace': setting({
    argument: '<duration>',
    description: 'How long blobs stay that nothing refers to any more.',
    defaultText: '24h',
    schema: duration('0s').default(24 * 3_600_000),
  }),
  'upload-expiry': setting({
    argument: '<duration>',
    description: 'How long unfinished uploads stay without a sign of life, 1m at least.',
    defaultText: '7d',
    schema: duration('1m').default(7 * 86_400_000),
  }),
  scrub: setting({
    argument: '<duration>',
    description: 'Every blob is read again and hashed within this time, in the background; off for never.',
    defaultText: '30d',
    schema: durationOrOff('1m').default(30 * 86_400_000),
  }),
  'log-level': setting({
    argument: '<level>',
    description: 'trace, debug, info, warn, error or silent.',
    defaultText: 'info',
    schema: choice(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info'),
  }),
  'log-format': setting({
    argument: '<format>',
    description: 'json (one object a line) or pretty.',
    defaultText: 'pretty on a terminal, else json',
    schema: choice(['json', 'pretty']).optional(),
  }),
} satisfies Record<SettingName, Setting<unknown>>

export type SettingValues = { readonly [Name in SettingName]: z.output<(typeof settings)[Name]['schema']> }

export const settingNames = Object.keys(settings) as SettingName[]

/** The table for people, in Markdown. */
export function formatSettings(): string {
  const rows = settingNames.map((name) => {
    const { argument, description, defaultText } = settings[name]
    const cells = [`\`--${name} ${argument}\``, `\`${variables[name]}\``, `\`${name}\``, defaultText, description]
    return `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`
  })
  return ['| Flag | Variable | File key | Default | Meaning |', '|---|---|---|---|---|', ...rows].join('\n')
}
