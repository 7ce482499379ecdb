// The workbook for operators: mails by status, waiting mails, throttling, tokens, who must act.

param location string
param tags object
param workspaceId string

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(workspaceId, 'mail-delivery')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: 'Mail delivery'
    category: 'workbook'
    sourceId: workspaceId
    version: 'Notebook/1.0'
    serializedData: loadTextContent('../workbook.json')
  }
}
