/** The optional configuration file: YAML, one key a setting. */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { basename } from 'node:path'
import type * as Yaml from 'yaml'
import { closest } from './closest.ts'
import type { SettingName } from './env.ts'
import { settingNames } from './settings.ts'

export interface ConfigFile {
  /** The file's name, as mistakes call it. */
  readonly label: string
  /** Why there is nothing to read: a mistake of whoever named the file. */
  readonly unreadable?: string
  readonly values: ReadonlyMap<SettingName, unknown>
  readonly mistakes: readonly string[]
}

/** path: absolute. Never throws; an empty file is a file without settings. */
export function readConfigFile(path: string): ConfigFile {
  const label = basename(path)
  const values = new Map<SettingName, unknown>()
  let source: string
  try {
    source = readFileSync(path, 'utf8')
  } catch (error) {
    return { label, values, mistakes: [], unreadable: `cannot read ${path} (${(error as NodeJS.ErrnoException).code})` }
  }
  // Loaded only where there is a file: it costs a start without one tens of milliseconds.
  const { parseDocument } = createRequire(import.meta.url)('yaml') as typeof Yaml
  const document = parseDocument(source, { prettyErrors: true })
  if (document.errors.length > 0) {
    return { label, values, mistakes: document.errors.map((error) => `${label}: ${error.message.split('\n')[0]}`) }
  }
  const content: unknown = document.toJS() ?? {}
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    return { label, values, mistakes: [`${label}: must hold settings, one "name: value" a line`] }
  }
  const mistakes: string[] = []
  for (const [key, value] of Object.entries(content)) {
    if (isFileKey(key)) {
      if (value !== null) values.set(key, value)
      continue
    }
    const meant = closest(key, settingNames.filter(isFileKey))
    mistakes.push(`${label}: ${key}: is not a setting${meant === undefined ? '' : `; did you mean ${meant}?`}`)
  }
  return { label, values, mistakes }
}

/** A file cannot name another one. */
function isFileKey(key: string): key is SettingName {
  return key !== 'config' && (settingNames as readonly string[]).includes(key)
}
