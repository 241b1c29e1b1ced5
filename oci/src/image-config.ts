import { parseJsonObject } from './json.ts'

/**
 * What the listing of a manifest shows of its config blob; {} for a blob that is no such JSON, since a config may be
 * anything (a Helm chart's, a single `{}`). A schema 1 manifest has the same two fields in its own body.
 * bytes: the whole config, which the caller has limited.
 * Spec: OCI image-spec 1.1, config.md.
 */
export function parseImageConfig(bytes: Uint8Array): { readonly architecture?: string; readonly os?: string } {
  const { architecture, os } = parseJsonObject(bytes) ?? {}
  return { ...(isText(architecture) && { architecture }), ...(isText(os) && { os }) }
}

/** A NUL names nothing, and not every database can keep it. */
const isText = (value: unknown): value is string => typeof value === 'string' && !value.includes('\0')
