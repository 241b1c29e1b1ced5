// What is installed in node_modules, and whether that is what package-lock.json and the package.json files ask for.
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const dependencyFields = ['dependencies', 'devDependencies', 'optionalDependencies', 'peerDependencies', 'overrides']

const readJson = (file) => JSON.parse(readFileSync(file, 'utf8'))

/** The part of a package.json that decides what is installed, in one spelling. */
function dependenciesOf(manifest) {
  const sorted = (value) => (value && typeof value === 'object' ? Object.entries(value).sort() : value)
  return JSON.stringify(dependencyFields.map((field) => sorted(manifest[field] ?? {})))
}

/**
 * Reads what should be installed under `root`. Undefined without a package-lock.json: then Berth itself came from a
 * package, and npm has already installed what it needs.
 */
export function readWanted(root) {
  if (!existsSync(join(root, 'package-lock.json'))) return undefined
  const lockText = readFileSync(join(root, 'package-lock.json'), 'utf8')
  const manifest = readJson(join(root, 'package.json'))
  const workspaces = (manifest.workspaces ?? []).filter((folder) => existsSync(join(root, folder, 'package.json')))
  const manifests = { '': manifest }
  for (const folder of workspaces) manifests[folder] = readJson(join(root, folder, 'package.json'))

  const hash = createHash('sha256').update(`${process.platform}-${process.arch}\n`).update(lockText)
  for (const [folder, { version: _, ...rest }] of Object.entries(manifests)) hash.update(folder + dependenciesOf(rest))
  return { fingerprint: hash.digest('hex'), lockText, manifests }
}

const stampFile = (root) => join(root, 'node_modules', '.berth-installed')

/** Returns `{ fingerprint, development }` of the last installation that ran to its end, or undefined. */
export function readStamp(root) {
  try {
    return readJson(stampFile(root))
  } catch {
    return undefined // absent or cut short: the same as never installed
  }
}

export function writeStamp(root, stamp) {
  writeFileSync(stampFile(root), `${JSON.stringify(stamp)}\n`)
}

export function removeStamp(root) {
  rmSync(stampFile(root), { force: true })
}

/**
 * Whether an `npm install` that somebody ran by hand has already installed what is wanted: npm's own record in
 * node_modules is compared with the lock file. Returns the stamp that says so, or undefined.
 */
export function findHandMadeInstallation(root, { fingerprint, lockText, manifests }) {
  const record = join(root, 'node_modules', '.package-lock.json')
  if (!existsSync(record)) return undefined
  const wanted = JSON.parse(lockText).packages
  for (const [folder, manifest] of Object.entries(manifests)) {
    if (dependenciesOf(wanted[folder] ?? {}) !== dependenciesOf(manifest)) return undefined
  }
  const present = readJson(record).packages
  let development = true
  for (const [path, entry] of Object.entries(wanted)) {
    if (!path.includes('node_modules/') || isForAnotherMachine(entry)) continue
    const found = present[path]
    if (found === undefined && entry.dev) development = false
    else if (found?.version !== entry.version || found?.link !== entry.link) return undefined
  }
  return { fingerprint, development }
}

/** An optional package for another operating system, processor or (perhaps) C library, which npm leaves out. */
function isForAnotherMachine(entry) {
  const accepts = (names, name) => names === undefined || [names].flat().includes(name)
  const fits = accepts(entry.os, process.platform) && accepts(entry.cpu, process.arch) && entry.libc === undefined
  return entry.optional === true && !fits
}
