// Functions that read and check the parameters of main.bicep. They accept lists with blanks and repetitions,
// URLs with a slash at the end and ids in upper case.

@export()
@description('The items of a comma-separated list, trimmed, without empty items and duplicates.')
func listOf(list string) string[] => union(filter(map(split(list, ','), item => trim(item)), item => !empty(item)), [])

@export()
@description('The items of a comma-separated, case-insensitive list, in lower case.')
func lowerListOf(list string) string[] => listOf(toLower(list))

@export()
@description('Origins as browsers send them: lower case and no slash at the end (RFC 6454, section 6.2).')
func originsOf(list string) string[] => map(lowerListOf(list), origin => withoutSlash(origin))

@export()
@description('A URL without surrounding blanks and without a slash at its end; scheme and host in lower case.')
func addressOf(address string) string =>
  length(split(address, '/')) < 3
    ? trim(address)
    : join(
        map(
          range(0, length(split(withoutSlash(address), '/'))),
          i => i < 3 ? toLower(split(withoutSlash(address), '/')[i]) : split(withoutSlash(address), '/')[i]
        ),
        '/'
      )

func withoutSlash(address string) string =>
  endsWith(trim(address), '/') ? take(trim(address), max(length(trim(address)) - 1, 0)) : trim(address)

@export()
@description('A name in which each character that Azure does not allow in the name of a site is replaced by a hyphen.')
func siteNamePart(name string) string =>
  join(map(charactersOf(trim(name)), character => contains(letters, toLower(character)) ? character : '-'), '')

@export()
@description('Whether every character is one of these, case-insensitive.')
func consistsOf(text string, characters string) bool =>
  empty(filter(charactersOf(text), character => !contains(characters, toLower(character))))

@export()
@description('A value of a text such as region=westeurope;closed=true. Empty: the text has no value of that name.')
func valueOf(values string, name string) string =>
  first(map(
    filter(split(values, ';'), value => startsWith(value, '${name}=')),
    value => substring(value, length(name) + 1)
  )) ?? ''

@export()
func isId(text string) bool =>
  join(map(split(text, '-'), part => string(length(part))), ' ') == '8 4 4 4 12' && consistsOf(
    text,
    '0123456789abcdef-'
  )

@export()
@description('A scheduler of the list and the path that its file access is limited to, for example <principal id>=sales.')
func isFilePath(item string, schedulers array) bool =>
  length(split(item, '=')) == 2 && contains(schedulers, first(split(item, '='))) && isPath(last(split(item, '='))!)

func isPath(path string) bool =>
  !empty(path) && !startsWith(path, '/') && !endsWith(path, '/') && consistsOf(path, '${letters}_./')

@export()
@description('https://learn.microsoft.com/rest/api/storageservices/naming-queues-and-metadata')
func isQueueName(text string) bool =>
  length(text) >= 3 && length(text) <= 63 && !startsWith(text, '-') && !endsWith(text, '-') && !contains(text, '--') && consistsOf(
    text,
    letters
  )

@export()
@description('An https URL in ASCII, with a host and without query and fragment: it is sent in headers. The app refuses all others.')
func isAddress(text string) bool =>
  startsWith(toLower(text), 'https://') && isServer(split(text, '/')[2]) && !contains(substring(text, 8), '//') && consistsOf(
    join(skip(split(text, '/'), 3), '/'),
    '${letters}._~/%+'
  )

@export()
@description('https, a host and optionally a port: no path.')
func isServerAddress(text string) bool => isAddress(text) && length(split(text, '/')) == 3

@export()
@description('The address of a server as browsers send it: they name no port 443.')
func isOrigin(text string) bool => isServerAddress(text) && !endsWith(text, ':443')

func isServer(text string) bool =>
  !empty(first(split(text, ':'))) && consistsOf(first(split(text, ':'))!, '${letters}._') && (!contains(text, ':') || isPort(substring(
    text,
    indexOf(text, ':') + 1
  )))

func isPort(text string) bool => isNumberUpTo(text, 65535) && text != '0'

@export()
@description('A full mail address. The rules are those of the app, as far as a mistake is likely.')
func isMailAddress(text string) bool =>
  length(split(text, '@')) == 2 && isLocalPart(first(split(text, '@'))!) && isDomain(last(split(text, '@'))!)

func isLocalPart(text string) bool =>
  isDotted(text) && !startsWith(text, '\'') && !containsAnyOf(text, '${blanks}<>()[]:;\\"`')

func isDomain(text string) bool =>
  contains(text, '.') && isDotted(text) && !containsAnyOf(text, '${blanks}<>()[]:;\\"`\'_/')

@description('Text with a character before, between and after its dots.')
func isDotted(text string) bool => empty(filter(split(text, '.'), part => empty(part)))

@export()
@description('A value without blanks and quotation marks, which the app refuses, and without the separator of deployedWith.')
func isWord(text string) bool =>
  !empty(text) && !containsAnyOf(text, '${blanks};"\'`\u{201c}\u{201d}\u{201e}\u{2018}\u{2019}')

func containsAnyOf(text string, characters string) bool =>
  !empty(filter(charactersOf(characters), character => contains(text, character)))

@export()
@description('The first day of a month, for example 2026-12-01.')
func isFirstOfMonth(text string) bool =>
  length(text) == 10 && endsWith(text, '-01') && substring(text, 4, 1) == '-' && consistsOf(
    replace(text, '-', ''),
    digits
  ) && contains(months, substring(text, 5, 2))

@export()
@description('An IPv4 address, or a range such as 203.0.113.0/24 whose prefix is in the span.')
func isRange(text string, shortestPrefix int, longestPrefix int) bool =>
  length(split(text, '/')) == 2 && isIpAddress(split(text, '/')[0]) && isNumberUpTo(split(text, '/')[1], longestPrefix) && int(split(
    text,
    '/'
  )[1]) >= shortestPrefix

@export()
func isIpAddress(text string) bool =>
  length(split(text, '.')) == 4 && empty(filter(split(text, '.'), part => !isNumberUpTo(part, 255)))

@description('Private IP addresses (RFC 1918): storage refuses them in its rules.')
@export()
func isPrivate(text string) bool =>
  startsWith(text, '10.') || startsWith(text, '192.168.') || (startsWith(text, '172.') && isIpAddress(split(text, '/')[0]) && int(split(
    text,
    '.'
  )[1]) >= 16 && int(split(text, '.')[1]) <= 31)

var blanks = ' \t\r\n'
var digits = '0123456789'
var letters = 'abcdefghijklmnopqrstuvwxyz0123456789-'
var months = ['01', '02', '03', '04', '05', '06', '07', '08', '09', '10', '11', '12']

func charactersOf(text string) string[] => map(range(0, length(text)), i => substring(text, i, 1))

func isNumberUpTo(text string, most int) bool =>
  !empty(text) && length(text) <= length(string(most)) && consistsOf(text, digits) && int(text) <= most && string(int(text)) == text
