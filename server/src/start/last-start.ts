/**
 * How the last start was reached, kept in the data folder, so that commands on the same folder (`berth trust`, `berth
 * token`) need not be told again. Holds nothing secret.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { writeWhole } from '../base/write-once.ts'
import { formatBlobsUrl } from '../config/blobs-url.ts'
import type { Config } from '../config/config.ts'
import { formatDatabaseUrl } from '../config/database-url.ts'
import { formatDuration } from '../config/duration.ts'
import { usualSecretKey } from '../config/load.ts'

/** By setting, as on the command line. */
const lastStartSchema = z.object({
  host: z.string(),
  port: z.string(),
  domain: z.string(),
  http: z.boolean().optional(),
  'tls-cert': z.string().optional(),
  'tls-key': z.string().optional(),
  /** Without the password. */
  database: z.string().optional(),
  'secret-key': z.string().optional(),
  blobs: z.string().optional(),
  /** What the operator wants to be kept: `berth gc` must not take more than the server. */
  'gc-grace': z.string().optional(),
  'upload-expiry': z.string().optional(),
})

export type LastStart = z.infer<typeof lastStartSchema>

export const lastStartFile = (dataFolder: string) => join(dataFolder, 'last-start.json')

export async function writeLastStart(config: Config): Promise<void> {
  const { dataFolder, secretKey, host, port, domain, publicPort, tls, db, blobs, collection } = config
  const last: LastStart = {
    host,
    port: String(port),
    domain: `${domain}:${publicPort}`,
    ...(tls.kind === 'none' ? { http: true } : {}),
    ...(tls.kind === 'files' ? { 'tls-cert': tls.certificate, 'tls-key': tls.key } : {}),
    ...(db.kind === 'postgres' ? { database: formatDatabaseUrl(db) } : {}),
    ...(blobs.kind === 's3' || blobs.kind === 'azure-blob' ? { blobs: formatBlobsUrl(blobs) } : {}),
    ...(secretKey === usualSecretKey(dataFolder) ? {} : { 'secret-key': secretKey }),
    'gc-grace': formatDuration(collection.graceMs),
    'upload-expiry': formatDuration(collection.uploadExpiryMs),
  }
  await writeWhole(lastStartFile(dataFolder), `${JSON.stringify(last, null, 2)}\n`)
}

/** Undefined where nothing was ever started, or the file is not what a start writes. */
export function readLastStart(dataFolder: string): LastStart | undefined {
  try {
    return lastStartSchema.safeParse(JSON.parse(readFileSync(lastStartFile(dataFolder), 'utf8'))).data
  } catch {
    return undefined // absent or damaged: it only saves typing
  }
}
