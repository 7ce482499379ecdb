// Upload a report and queue a mail with it as attachment.
//
//   export MAIL_QUEUE_ENDPOINT=https://<account>.queue.core.windows.net
//   export MAIL_BLOB_ENDPOINT=https://<account>.blob.core.windows.net
//   export MAIL_TENANT_ID=<tenant>
//   dotnet run sales-weekly:2026-11-23:emea cfo@contoso.com report.pdf
//
// Running it again with the same message id and report sends no second mail. It prints the message id.

using System.Security.Cryptography;
using System.Text.Encodings.Web;
using System.Text.Json;
using Azure.Identity;
using Azure.Storage.Blobs;
using Azure.Storage.Blobs.Models;
using Azure.Storage.Queues;

var (messageId, recipient, report) = (args[0], args[1], args[2]);
var tenantId = Setting("MAIL_TENANT_ID").ToLowerInvariant();
// Uses a managed identity if there is one, and on a laptop your `az login`.
var credential = new DefaultAzureCredential();

// The path is derived from the content: the same report always has the same path, and no report replaces another.
var content = await File.ReadAllBytesAsync(report);
var path = $"{tenantId}/{Convert.ToHexString(SHA256.HashData(content)).ToLowerInvariant()}.pdf";
var blob = new BlobServiceClient(new Uri(Setting("MAIL_BLOB_ENDPOINT")), credential)
    .GetBlobContainerClient("attachments")
    .GetBlobClient(path);
await blob.UploadAsync(
    BinaryData.FromBytes(content),
    new BlobUploadOptions { HttpHeaders = new BlobHttpHeaders { ContentType = "application/pdf" } });

var message = new
{
    schemaVersion = 1,
    // Derived from schedule, due time and audience, never random: a second run must use the same id.
    messageId,
    tenantId,
    to = new[] { recipient },
    subject = "Weekly sales, EMEA",
    body = new { contentType = "html", content = "<p>Grüße, the report is attached.</p>" },
    attachments = new[] { new { name = Path.GetFileName(report), contentType = "application/pdf", blob = path } },
    expiresAt = DateTimeOffset.UtcNow.AddDays(1).ToString("O"),
};
// The default encoder writes each < and each non-ASCII letter as six bytes, and a message has at most 48 KiB.
var json = JsonSerializer.Serialize(
    message, new JsonSerializerOptions { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping });

var options = new QueueClientOptions();
options.Retry.MaxRetries = 5;
// -1 second: the message never expires in the queue.
await new QueueServiceClient(new Uri(Setting("MAIL_QUEUE_ENDPOINT")), credential, options)
    .GetQueueClient("mail-outbox")
    .SendMessageAsync(json, timeToLive: TimeSpan.FromSeconds(-1));
Console.WriteLine(messageId);

static string Setting(string name) =>
    Environment.GetEnvironmentVariable(name) ?? throw new InvalidOperationException($"{name} is not set.");
