/** From flags, variables and a file to a `Config`, or to the list of everything that is wrong with them. */
import { readFileSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { createSecureContext } from 'node:tls'
import type { Config, DbConfig, TlsConfig } from './config.ts'
import { type Environment, readPostgresVariables, readVariables, type SettingName, variables } from './env.ts'
import { readConfigFile } from './file.ts'
import { type SettingValues, settingNames, settings } from './settings.ts'

export interface ConfigSources {
  /** By setting, as the command line gave them; `true` for a flag that stood alone. */
  readonly flags: Partial<Readonly<Record<SettingName, string | boolean>>>
  readonly env?: Environment
  /** What an earlier start was told, for commands on its data: counts where nothing else names a setting. */
  readonly remembered?: Partial<Readonly<Record<SettingName, string>>>
  /** Where relative paths of flags and variables start. */
  readonly cwd?: string
  /** Whether the log goes to a terminal. */
  readonly terminal?: boolean
}

/** Each mistake names its source: `--port: must be …`, `BERTH_PORT: …`, `berth.yaml: port: …`. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError'
  readonly mistakes: readonly string[]

  constructor(mistakes: readonly string[]) {
    super(mistakes.join('\n'))
    this.mistakes = mistakes
  }
}

/** A value and where it was written. */
interface Given {
  readonly value: unknown
  readonly source: string
  /** Where a relative path starts. */
  readonly folder: string
}

/** Flags win over variables, variables over the file, the file over defaults. Throws `ConfigError`. */
export function loadConfig(sources: ConfigSources): Config {
  const { flags, env = process.env, cwd = process.cwd(), terminal = process.stdout.isTTY === true } = sources
  const mistakes: string[] = []
  const given = new Map<SettingName, Given>()
  for (const [name, value] of Object.entries(readVariables(env)) as [SettingName, string][]) {
    given.set(name, { value, source: variables[name], folder: cwd })
  }
  for (const [name, value] of Object.entries(flags) as [SettingName, string | boolean | undefined][]) {
    if (value !== undefined) given.set(name, { value, source: `--${name}`, folder: cwd })
  }
  addFile(given, mistakes)
  for (const [name, value] of Object.entries(sources.remembered ?? {}) as [SettingName, string | undefined][]) {
    if (value !== undefined && !given.has(name))
      given.set(name, { value, source: `the last start's ${name}`, folder: cwd })
  }

  const values = checkEach(given, mistakes)
  const paths = (name: 'data' | 'secret-key' | 'tls-cert' | 'tls-key') =>
    resolve(given.get(name)?.folder ?? cwd, values[name] ?? '')
  const tls = checkTls(values, given, paths, mistakes)
  const dataFolder = paths('data')
  const notFolder = findFolderTrouble(dataFolder)
  if (notFolder !== undefined) mistakes.push(`${given.get('data')?.source ?? '--data'}: ${notFolder}`)
  if (mistakes.length > 0) throw new ConfigError(mistakes)
  return {
    host: values.host,
    port: values.port,
    domain: values.domain.name,
    publicPort: values.domain.publicPort ?? values.port,
    dataFolder,
    secretKey: values['secret-key'] === undefined ? usualSecretKey(dataFolder) : paths('secret-key'),
    tls: tls ?? { kind: 'local-authority', folder: resolve(dataFolder, 'tls') },
    workers: values.workers,
    drainSeconds: values['drain-seconds'],
    trustedProxies: values['trusted-proxies'],
    blobs: values.blobs
      ? { ...values.blobs, redirects: values['blob-redirects'] }
      : { kind: 'filesystem', folder: resolve(dataFolder, 'blobs') },
    db: databaseOf(values, given.get('database')?.folder ?? cwd, env) ?? {
      kind: 'sqlite',
      file: join(dataFolder, 'berth.db'),
    },
    collection: {
      intervalMs: values['gc-interval'],
      graceMs: values['gc-grace'],
      uploadExpiryMs: values['upload-expiry'],
    },
    scrub: { periodMs: values.scrub },
    log: { level: values['log-level'], format: values['log-format'] ?? (terminal ? 'pretty' : 'json') },
  }
}

/** In a data folder that can be moved as it is. */
export const usualSecretKey = (dataFolder: string): string => join(dataFolder, 'secret.key')

/** folder: where its relative paths start. Undefined: none is named. */
function databaseOf({ database }: SettingValues, folder: string, env: Environment): DbConfig | undefined {
  if (database === undefined) return undefined
  const { passfile, rootCertificate } = database
  const variables = readPostgresVariables(env)
  const password = database.password ?? variables.password
  const usualPassfile =
    process.platform === 'win32'
      ? join(env.APPDATA ?? homedir(), 'postgresql', 'pgpass.conf')
      : join(homedir(), '.pgpass')
  return {
    ...database,
    ...(password === undefined ? {} : { password }),
    passfile: resolve(folder, passfile ?? variables.passfile ?? usualPassfile),
    ...(rootCertificate === undefined ? {} : { rootCertificate: resolve(folder, rootCertificate) }),
  }
}

function addFile(given: Map<SettingName, Given>, mistakes: string[]): void {
  const named = given.get('config')
  if (named === undefined) return
  const path = resolve(named.folder, String(named.value))
  const file = readConfigFile(path)
  if (file.unreadable !== undefined) mistakes.push(`${named.source}: ${file.unreadable}`)
  mistakes.push(...file.mistakes)
  for (const [name, value] of file.values) {
    if (!given.has(name)) given.set(name, { value, source: `${file.label}: ${name}`, folder: dirname(path) })
  }
}

/** The value of every setting; a mistaken one counts as not given, so that the checks across settings can go on. */
function checkEach(given: ReadonlyMap<SettingName, Given>, mistakes: string[]): SettingValues {
  const values: Partial<Record<SettingName, unknown>> = {}
  for (const name of settingNames) {
    const { schema } = settings[name]
    const { value, source } = given.get(name) ?? {}
    // A flag that stands alone means "yes"; where that is no value, it is a mistake like any other.
    const result = schema.safeParse(value)
    if (!result.success) mistakes.push(...result.error.issues.map((issue) => `${source}: ${issue.message}`))
    values[name] = result.success ? result.data : schema.parse(undefined)
  }
  return values as SettingValues
}

/** Undefined: neither files nor plain HTTP are asked for. */
function checkTls(
  values: SettingValues,
  given: ReadonlyMap<SettingName, Given>,
  paths: (name: 'tls-cert' | 'tls-key') => string,
  mistakes: string[],
): TlsConfig | undefined {
  const certificate = given.get('tls-cert')
  const key = given.get('tls-key')
  if (values.http) {
    const file = certificate ?? key
    if (file !== undefined)
      mistakes.push(`${given.get('http')?.source}: excludes ${file.source}; plain HTTP has no certificate`)
    return { kind: 'none' }
  }
  if (certificate === undefined && key === undefined) return undefined
  if (key === undefined) mistakes.push(`${certificate?.source}: needs --tls-key (${variables['tls-key']}) too`)
  if (certificate === undefined) mistakes.push(`${key?.source}: needs --tls-cert (${variables['tls-cert']}) too`)
  const files = { certificate: paths('tls-cert'), key: paths('tls-key') }
  const pem = { certificate: readPem('tls-cert', files.certificate), key: readPem('tls-key', files.key) }
  const misfit = pem.certificate && pem.key && findMisfit(pem.certificate, pem.key)
  if (misfit) mistakes.push(`${key?.source}: does not belong to ${certificate?.source} (${misfit})`)
  return { kind: 'files', ...files }

  function readPem(name: 'tls-cert' | 'tls-key', file: string): string | undefined {
    if (values[name] === undefined) return undefined
    try {
      const text = readFileSync(file, 'latin1')
      if (text.includes('-----BEGIN ')) return text
      mistakes.push(`${given.get(name)?.source}: ${file} is not a PEM file`)
    } catch (error) {
      mistakes.push(`${given.get(name)?.source}: cannot read ${file} (${(error as NodeJS.ErrnoException).code})`)
    }
    return undefined
  }
}

/** Why a certificate and a key cannot be used together, in OpenSSL's words. */
function findMisfit(certificate: string, key: string): string | undefined {
  try {
    createSecureContext({ cert: certificate, key, ca: [] })
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}

/** A folder that does not exist yet is fine. */
function findFolderTrouble(folder: string): string | undefined {
  try {
    const found = statSync(folder, { throwIfNoEntry: false })
    return found === undefined || found.isDirectory() ? undefined : `${folder} is not a folder`
  } catch (error) {
    return `cannot look at ${folder} (${(error as NodeJS.ErrnoException).code})`
  }
}
