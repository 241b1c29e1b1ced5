import type { Machine } from './machine.ts'
import { ensureFile, quoted, runAfter, Skipped, type TrustedAuthority, type TrustTarget } from './target.ts'

/** Linux families by the program that rebuilds the store from a folder of certificates. */
const linuxStores = [
  {
    program: 'update-ca-certificates',
    folder: '/usr/local/share/ca-certificates',
    extension: 'crt',
    family: 'Debian, Alpine',
  },
  { program: 'update-ca-trust', folder: '/etc/pki/ca-trust/source/anchors', extension: 'pem', family: 'Fedora' },
]

const keychain = '/Library/Keychains/System.keychain'

export const systemStore: TrustTarget = {
  name: 'system (curl, git, Go, .NET, …)',
  commands(authority, machine) {
    if (machine.platform === 'darwin') {
      return [`sudo security add-trusted-cert -d -r trustRoot -k ${keychain} ${quoted(authority.file)}`]
    }
    const here = linuxStores.filter(({ program }) => machine.has(program))
    return (here.length > 0 ? here : linuxStores).map(({ program, folder, extension, family }) => {
      const file = `${folder}/${authority.id}.${extension}`
      return `sudo cp ${quoted(authority.file)} ${file} && sudo ${program}   # ${family}`
    })
  },
  apply(authority, machine) {
    if (machine.platform === 'darwin') return addToKeychain(authority, machine)
    const store = linuxStores.find(({ program }) => machine.has(program))
    if (store === undefined) throw new Skipped('neither update-ca-certificates nor update-ca-trust is installed')
    const file = machine.path(`${store.folder}/${authority.id}.${store.extension}`)
    const outcome = ensureFile(file, authority.pem)
    if (outcome.changed) runAfter(file, machine, store.program, [])
    return outcome
  },
}

function addToKeychain(authority: TrustedAuthority, machine: Machine) {
  if (isInKeychain(authority, machine)) return { changed: false, detail: keychain }
  if (!machine.isRoot) throw new Skipped('it needs root: run it with sudo')
  machine.run('security', ['add-trusted-cert', '-d', '-r', 'trustRoot', '-k', keychain, authority.file])
  return { changed: true, detail: keychain }
}

function isInKeychain(authority: TrustedAuthority, machine: Machine): boolean {
  try {
    machine.run('security', ['find-certificate', '-c', authority.name, keychain])
    return true
  } catch {
    return false // `security` says "not found" with its exit code
  }
}
