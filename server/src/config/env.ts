/** Every environment variable that configures Berth; nothing else in the program reads one for that. */

export const variables = {
  port: 'BERTH_PORT',
  host: 'BERTH_HOST',
  domain: 'BERTH_DOMAIN',
  data: 'BERTH_DATA',
  database: 'BERTH_DATABASE',
  'secret-key': 'BERTH_SECRET_KEY',
  blobs: 'BERTH_BLOBS',
  'blob-redirects': 'BERTH_BLOB_REDIRECTS',
  'tls-cert': 'BERTH_TLS_CERT',
  'tls-key': 'BERTH_TLS_KEY',
  http: 'BERTH_HTTP',
  workers: 'BERTH_WORKERS',
  'drain-seconds': 'BERTH_DRAIN_SECONDS',
  config: 'BERTH_CONFIG',
  'trusted-proxies': 'BERTH_TRUSTED_PROXIES',
  'gc-interval': 'BERTH_GC_INTERVAL',
  'gc-grace': 'BERTH_GC_GRACE',
  'upload-expiry': 'BERTH_UPLOAD_EXPIRY',
  scrub: 'BERTH_SCRUB',
  'log-level': 'BERTH_LOG_LEVEL',
  'log-format': 'BERTH_LOG_FORMAT',
} as const

export type SettingName = keyof typeof variables

export type Environment = Readonly<Record<string, string | undefined>>

/** The variables that are set, by setting. An empty one counts as not set, as compose files leave them behind. */
export function readVariables(env: Environment = process.env): Partial<Record<SettingName, string>> {
  const found: Partial<Record<SettingName, string>> = {}
  for (const [name, variable] of Object.entries(variables) as [SettingName, string][]) {
    const value = env[variable]
    if (value === undefined || value === '' || isServiceLink(name, value)) continue
    found[name] = value
  }
  return found
}

/** Without what configures the server that runs here: for the configuration of another one. */
export function withoutVariables(env: Environment = process.env): Environment {
  const ours = new Set<string>(Object.values(variables))
  return Object.fromEntries(Object.entries(env).filter(([name]) => !ours.has(name)))
}

/** Kubernetes sets BERTH_PORT=tcp://10.0.0.1:8443 in every pod beside a Service that is called "berth". */
function isServiceLink(name: SettingName, value: string): boolean {
  return name === 'port' && /^(?:tcp|udp|sctp):\/\//.test(value)
}

/** What PostgreSQL's own programs read too: for a password that is not in `--database`. */
export function readPostgresVariables(env: Environment): {
  password: string | undefined
  passfile: string | undefined
} {
  return { password: env.PGPASSWORD || undefined, passfile: env.PGPASSFILE || undefined }
}
