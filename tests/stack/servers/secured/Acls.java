import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.concurrent.TimeUnit;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;

/** Allows what stdin says, a line each: USER RESOURCE PREFIX OPERATION. The argument is a file of an administrator's properties. */
public final class Acls {
  public static void main(String[] arguments) throws Exception {
    Properties properties = new Properties();
    try (var file = Files.newBufferedReader(Path.of(arguments[0]))) {
      properties.load(file);
    }
    List<AclBinding> allowed = new ArrayList<>();
    for (String line : new BufferedReader(new InputStreamReader(System.in)).lines().toList()) {
      String[] words = line.split(" ");
      allowed.add(
          new AclBinding(
              new ResourcePattern(ResourceType.valueOf(words[1]), words[2], PatternType.PREFIXED),
              new AccessControlEntry("User:" + words[0], "*", AclOperation.valueOf(words[3]), AclPermissionType.ALLOW)));
    }
    try (Admin admin = Admin.create(properties)) {
      admin.createAcls(allowed).all().get(20, TimeUnit.SECONDS);
    }
  }
}
